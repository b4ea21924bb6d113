"""Policies hold rules where they held hosts; each host is one that may be reached on port 443."""

from django.db import migrations, models

from agents.errors import Invalid
from agents.hosts import pattern
from agents.reach import MAX_PER_RULE

FIELD = models.JSONField(blank=True, default=list, help_text="One line a rule, for instance pypi.org : 443.")


def _rules(hosts):
    parts = [hosts[start : start + MAX_PER_RULE] for start in range(0, len(hosts), MAX_PER_RULE)]
    return [
        {"name": part[0][:70], "hosts": part, "ports": [443], "binaries": [], "effect": "allow"} for part in parts
    ]


def _spelled(hosts):
    for host in hosts:
        try:
            yield pattern(host)
        except Invalid:
            print(f"  A policy named {host!r}, which agents never reach; it is left out.")


def hosts_to_rules(apps, schema_editor):
    for policy in apps.get_model("agents", "Policy").objects.exclude(hosts=[]).iterator():
        policy.rules = _rules(list(dict.fromkeys(_spelled(policy.hosts))))
        policy.save(update_fields=["rules"])
    # What was is kept as it was, right or not: putting it back asks the rules of that day.
    past = apps.get_model("agents", "HistoricalPolicy").objects
    for record in past.exclude(hosts=[]).iterator():
        record.rules = _rules(list(dict.fromkeys(map(str, record.hosts))))
        record.save(update_fields=["rules"])
    for record in past.filter(changed__contains="hosts").iterator():
        record.changed = ",".join("rules" if name == "hosts" else name for name in record.changed.split(","))
        record.save(update_fields=["changed"])


def rules_to_hosts(apps, schema_editor):
    for name in ("Policy", "HistoricalPolicy"):
        for row in apps.get_model("agents", name).objects.exclude(rules=[]).iterator():
            allowed = [rule for rule in row.rules if rule.get("effect", "allow") == "allow"]
            row.hosts = list(dict.fromkeys(host for rule in allowed for host in rule.get("hosts", ())))
            row.save(update_fields=["hosts"])


class Migration(migrations.Migration):
    dependencies = [("agents", "0010_indexes_of_the_audit")]

    operations = [
        migrations.AddField("historicalpolicy", "rules", FIELD),
        migrations.AddField("policy", "rules", FIELD),
        migrations.RunPython(hosts_to_rules, rules_to_hosts),
        migrations.RemoveField("historicalpolicy", "hosts"),
        migrations.RemoveField("policy", "hosts"),
    ]
