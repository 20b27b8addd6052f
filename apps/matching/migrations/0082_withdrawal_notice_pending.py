from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("matching", "0081_offer_index")]

    operations = [
        migrations.RemoveIndex(model_name="match", name="match_withdrawal_queue"),
        migrations.RenameField(model_name="match", old_name="withdrawal_untold", new_name="withdrawal_notice_pending"),
        migrations.AddIndex(
            model_name="match",
            index=models.Index(
                fields=["id"], condition=models.Q(("withdrawal_notice_pending", True)), name="match_withdrawal_queue"
            ),
        ),
    ]
