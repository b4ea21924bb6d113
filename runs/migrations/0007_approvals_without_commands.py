from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("runs", "0006_approvals_carried_over")]

    # The default lets the column come back, should somebody go back.
    operations = [
        migrations.AlterField("approval", "command", models.TextField(default="")),
        migrations.RemoveField(model_name="approval", name="command"),
        migrations.RemoveField(model_name="approval", name="description"),
    ]
