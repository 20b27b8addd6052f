"""Orders, shipments, deliveries."""

import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.datetime
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('matching', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Order',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('quantity', models.BigIntegerField(verbose_name='quantity')),
                ('quantity_received', models.BigIntegerField(default=0, verbose_name='received')),
                ('quantity_rejected', models.BigIntegerField(default=0, verbose_name='rejected')),
                ('state', models.CharField(choices=[('confirmed', 'Confirmed'), ('shipped', 'On the way'), ('delivered', 'Delivered'), ('closed', 'Closed'), ('cancelled', 'Cancelled')], default='confirmed', max_length=10, verbose_name='state')),
                ('state_reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('match', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='matching.match', verbose_name='match')),
                ('placed_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('repeat_of', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='repeats', to='fulfilment.order', verbose_name='repeats')),
            ],
            options={
                'verbose_name': 'order',
                'verbose_name_plural': 'orders',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Delivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('quantity_accepted', models.BigIntegerField(verbose_name='accepted')),
                ('quantity_rejected', models.BigIntegerField(default=0, verbose_name='rejected')),
                ('reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('received_at', models.DateTimeField(verbose_name='received')),
                ('received_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='deliveries', to='fulfilment.order', verbose_name='order')),
            ],
            options={
                'verbose_name': 'delivery',
                'verbose_name_plural': 'deliveries',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Shipment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('quantity', models.BigIntegerField(verbose_name='quantity')),
                ('carrier', models.CharField(blank=True, max_length=100, verbose_name='carrier')),
                ('tracking_number', models.CharField(blank=True, max_length=100, verbose_name='tracking number')),
                ('expected_on', models.DateField(blank=True, null=True, verbose_name='expected on')),
                ('shipped_at', models.DateTimeField(verbose_name='shipped')),
                ('order', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='shipments', to='fulfilment.order', verbose_name='order')),
                ('shipped_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'shipment',
                'verbose_name_plural': 'shipments',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='ContactReveal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='at')),
                ('match', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='reveals', to='matching.match', verbose_name='match')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='who')),
            ],
            options={
                'verbose_name': 'contact reveal',
                'verbose_name_plural': 'contact reveals',
                'constraints': [models.UniqueConstraint(fields=('match', 'user'), name='reveal_once')],
            },
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['match', 'state'], name='order_by_match'),
        ),
        migrations.AddIndex(
            model_name='order',
            index=models.Index(fields=['updated_at', 'id'], name='order_by_change'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['confirmed', 'shipped', 'delivered', 'closed', 'cancelled'])), name='order_state_known'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='order_quantity_positive'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gte', django.db.models.expressions.CombinedExpression(models.F('quantity_received'), '+', models.F('quantity_rejected'))), ('quantity_received__gte', 0), ('quantity_rejected__gte', 0)), name='order_received_was_ordered'),
        ),
        migrations.AddConstraint(
            model_name='order',
            constraint=models.UniqueConstraint(condition=models.Q(('repeat_of', None)), fields=('match',), name='order_first_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='order',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='393e22e5d0b7e7fcf18704603b62bde0e23b6501', operation='UPDATE', pgid='pgtrigger_keep_updated_at_17e38', table='fulfilment_order', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(('quantity_accepted__gte', 0), ('quantity_rejected__gte', 0), models.Q(('quantity_accepted__gt', 0), ('quantity_rejected__gt', 0), _connector='OR')), name='delivery_of_something'),
        ),
        migrations.AddConstraint(
            model_name='delivery',
            constraint=models.CheckConstraint(condition=models.Q(('quantity_rejected', 0), models.Q(('reason', ''), _negated=True), _connector='OR'), name='delivery_rejected_with_reason'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='delivery',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='8a2e1dc36ab8946c80fbd85208c1da9c2fb37a87', operation='UPDATE', pgid='pgtrigger_keep_updated_at_2d880', table='fulfilment_delivery', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='shipment',
            constraint=models.CheckConstraint(condition=models.Q(('quantity__gt', 0)), name='shipment_quantity_positive'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='shipment',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='02740f12b7d397c1b629c38d84b4a6f54c7ac7af', operation='UPDATE', pgid='pgtrigger_keep_updated_at_b013b', table='fulfilment_shipment', when='BEFORE')),
        ),
    ]
