"""Django's registration of the ``runs`` app."""

from django.apps import AppConfig


class RunsConfig(AppConfig):
    name = "runs"

    def ready(self) -> None:
        from agents import agent_pages, badges, erasing, exporting, person_pages
        from runs import (
            applications,
            approvals,
            archive,
            asked_hosts,
            held,
            on_agents,
            proposals,
            proposed_rules,
            tool_calls,
            unasked,
        )
        from runs.budgets import on_people
        from runs.budgets.on_agents import section
        from runs.erasing import erase
        from runs.reviewing.on_agents import section as reviewer_section
        from runs.time_machine import doors
        from sandboxes import foresight

        badges.register("/approvals/", "waiting for you", approvals.open_for)
        badges.register("/chat/", "with new messages", unasked.unread)
        agent_pages.SECTIONS.append(agent_pages.Section("budgets/_section.html", section, is_aside=True))
        person_pages.SECTIONS.append(person_pages.Section("budgets/_person.html", on_people.section))
        agent_pages.SECTIONS.append(
            agent_pages.Section("approvals/_reviewer_section.html", reviewer_section, is_aside=True)
        )
        agent_pages.TABS.append(agent_pages.Tab("reach", "Reach", "runs:agent-reach"))
        on_agents.connect()
        held.connect()
        proposals.register()
        foresight.ASKED_BY.append(on_agents.people_of)
        tool_calls.connect()
        asked_hosts.register()
        applications.connect()
        proposed_rules.connect()
        doors.connect()
        # What runs must end before its sandbox is removed.
        erasing.PARTS.insert(0, erase)
        exporting.PARTS.extend(archive.PARTS)
