import hashlib
import json

from django.db import migrations

UNTITLED = "The agent asks before it runs this"


def carry_over(apps, schema_editor):
    """What was asked before there were kinds: commands that the runtime waited for, allowed once or denied."""
    approvals = apps.get_model("runs", "Approval").objects
    for row in approvals.select_related("run__conversation").order_by("pk").iterator(chunk_size=500):
        subject = {"command": row.command}
        choice = {"allowed": "once", "denied": "deny"}.get(row.state, "")
        bytes_ = json.dumps(subject, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        approvals.filter(pk=row.pk).update(
            subject=subject,
            title=row.description or UNTITLED,
            key=hashlib.sha256(bytes_).hexdigest(),
            agent_id=row.run.agent_id,
            asked_for_id=row.run.conversation.owner_id,
            by_runtime=True,
            choice=choice,
        )


def carry_back(apps, schema_editor):
    """Every kind becomes text again."""
    approvals = apps.get_model("runs", "Approval").objects
    approvals.filter(run=None).delete()
    for row in approvals.order_by("pk").iterator(chunk_size=500):
        command = row.subject.get("command") or json.dumps(row.subject, ensure_ascii=False)
        approvals.filter(pk=row.pk).update(command=command, description=row.title)


class Migration(migrations.Migration):
    dependencies = [("runs", "0005_approvals_of_every_kind")]

    operations = [migrations.RunPython(carry_over, carry_back)]
