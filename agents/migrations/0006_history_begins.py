"""Give every configuration row made before there was a history its first record: what it is now."""

from django.db import migrations
from django.utils import timezone

REASON = "What it was when its history began"
TRACKED = (
    *("Agent", "Soul", "ModelRoute", "Policy", "Provider", "User"),
    *("AgentUserGrant", "AgentGroupGrant", "SoulUserGrant", "SoulGroupGrant"),
    *("ModelRouteUserGrant", "ModelRouteGroupGrant", "PolicyUserGrant", "PolicyGroupGrant"),
)
MEMBERS = {"Agent": "policies", "User": "groups"}


def begin(apps, schema_editor):
    for name in TRACKED:
        _begin(apps, apps.get_model("agents", name), name)
    _begin(apps, apps.get_model("auth", "Group"), "Group")


def _begin(apps, model, name):
    record = apps.get_model("agents", f"Historical{name}")
    ours = {field.attname for field in model._meta.fields}
    names = [field.attname for field in record._meta.fields if field.attname in ours]
    known = record.objects.values("id")
    for row in model._default_manager.exclude(pk__in=known).iterator():
        first = record.objects.create(
            **{attname: getattr(row, attname) for attname in names},
            history_date=timezone.now(),
            history_type="+",
            history_change_reason=REASON,
        )
        if field := MEMBERS.get(name):
            _begin_members(apps, model, name, field, row, first)


def _begin_members(apps, model, name, field, row, first):
    through = getattr(model, field).through
    record = apps.get_model("agents", f"Historical{name}_{field}")
    own = [each.attname for each in through._meta.fields]
    for each in through._default_manager.filter(**{f"{model._meta.model_name}_id": row.pk}):
        record.objects.create(history_id=first.pk, **{attname: getattr(each, attname) for attname in own})


class Migration(migrations.Migration):
    dependencies = [("agents", "0005_what_changed"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
