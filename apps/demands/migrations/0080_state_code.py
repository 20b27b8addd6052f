"""Why a need is in its state: a code of ours apart from what a person typed."""

from django.db import migrations, models
from django.db.models import Q

REVIEW = ["quantity_unusual", "approval_required"]
CODES = [*REVIEW, "returned", "returned_and_amended", "organisation_unverified", "nobody_confirmed"]
AWAITS_REVIEW = Q(state="draft", state_code__in=REVIEW)
TEXTS = {
    "The quantity is far from usual: a coordinator will look at it first.": "quantity_unusual",
    "In this region a coordinator looks at every need before it goes out.": "approval_required",
    "Nobody confirmed that this is still needed.": "nobody_confirmed",
}


def code_states(apps, schema_editor):
    Demand = apps.get_model("demands", "Demand")
    for text, code in TEXTS.items():
        Demand.objects.filter(state_note=text).update(state_code=code, state_note="")
    drafts = Demand.objects.filter(state="draft", state_code="")
    drafts.filter(review_requested_at__isnull=False).update(state_code="approval_required", state_note="")
    drafts.exclude(state_note="").update(state_code="returned_and_amended")
    drafts.filter(state_note="", opens_when_verified=True).update(state_code="organisation_unverified")


class Migration(migrations.Migration):
    dependencies = [("demands", "0070_install_sql")]

    operations = [
        migrations.RenameField("demand", "state_reason", "state_note"),
        migrations.AlterField(
            "demand", "state_note", models.CharField(blank=True, max_length=500, verbose_name="note on the state")
        ),
        migrations.AddField(
            "demand",
            "state_code",
            models.CharField(blank=True, default="", editable=False, max_length=30, verbose_name="reason"),
            preserve_default=False,
        ),
        migrations.RunPython(code_states, migrations.RunPython.noop),
        migrations.RunSQL("SET CONSTRAINTS ALL IMMEDIATE", migrations.RunSQL.noop),
        migrations.RemoveField("demand", "opens_when_verified"),
    ]
