"""Why an offer is in its state: a code of ours apart from what a person typed."""

from django.db import migrations, models

TEXTS = {
    "Nobody confirmed that this is still there.": "nobody_confirmed",
    "You said that the goods are gone.": "goods_gone",
    "The board does not say how much can be made in a day.": "capacity_unknown",
}


def code_states(apps, schema_editor):
    Offer = apps.get_model("supply", "Offer")
    for text, code in TEXTS.items():
        Offer.objects.filter(state_note=text).update(state_code=code, state_note="")


class Migration(migrations.Migration):
    dependencies = [("supply", "0070_install_sql")]

    operations = [
        migrations.RenameField("offer", "state_reason", "state_note"),
        migrations.AlterField(
            "offer", "state_note", models.CharField(blank=True, max_length=500, verbose_name="note on the state")
        ),
        migrations.AddField(
            "offer",
            "state_code",
            models.CharField(blank=True, default="", editable=False, max_length=30, verbose_name="reason"),
            preserve_default=False,
        ),
        migrations.RunPython(code_states, migrations.RunPython.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
    ]
