"""People, organisations, and what shows that they are who they say."""

import apps.accounts.models
import django.contrib.postgres.fields
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import django.utils.timezone
import pgtrigger.compiler
import pgtrigger.migrations
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('catalogue', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('is_superuser', models.BooleanField(default=False, help_text='Designates that this user has all permissions without explicitly assigning them.', verbose_name='superuser status')),
                ('email', models.EmailField(max_length=254, verbose_name='e-mail address')),
                ('name', models.CharField(blank=True, max_length=100, verbose_name='name')),
                ('phone', models.CharField(blank=True, help_text='For text messages in an emergency.', max_length=40, verbose_name='mobile phone')),
                ('language', models.CharField(choices=[('en', 'English'), ('zh-hans', '简体中文')], default='zh-hans', max_length=10, verbose_name='language')),
                ('time_zone', models.CharField(default='Asia/Shanghai', max_length=40, verbose_name='time zone')),
                ('is_staff', models.BooleanField(default=False, verbose_name='may use the back office')),
                ('is_active', models.BooleanField(default=True, verbose_name='may log in')),
                ('date_joined', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='joined')),
                ('groups', models.ManyToManyField(blank=True, help_text='The groups this user belongs to. A user will get all permissions granted to each of their groups.', related_name='user_set', related_query_name='user', to='auth.group', verbose_name='groups')),
                ('user_permissions', models.ManyToManyField(blank=True, help_text='Specific permissions for this user.', related_name='user_set', related_query_name='user', to='auth.permission', verbose_name='user permissions')),
            ],
            options={
                'verbose_name': 'user',
                'verbose_name_plural': 'users',
            },
        ),
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('digest', models.CharField(max_length=128, primary_key=True, serialize=False)),
                ('token_key', models.CharField(db_index=True, max_length=25)),
                ('created', models.DateTimeField(auto_now_add=True)),
                ('expiry', models.DateTimeField(blank=True, null=True)),
                ('name', models.CharField(help_text='What it is for, e.g. “provincial dashboard”.', max_length=100, verbose_name='name')),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('read', 'read what the user may see'), ('write', 'post, answer, ship and confirm'), ('exports', 'pull exports'), ('contacts', 'see contacts that are revealed to the user')], max_length=20), size=None, verbose_name='scopes')),
                ('last_used_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='last used')),
                ('region', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='catalogue.region', verbose_name='only this region')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='auth_token_set', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'verbose_name': 'API token',
                'verbose_name_plural': 'API tokens',
            },
        ),
        migrations.CreateModel(
            name='Organisation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('kind', models.CharField(choices=[('hospital', 'Hospital'), ('health_facility', 'Other health facility (clinic, care home, laboratory)'), ('community', 'Community'), ('enterprise', 'Enterprise'), ('supplier', 'Supplier (maker, trader or donor)'), ('carrier', 'Carrier'), ('government', 'Government department'), ('coordinator', 'Coordinators of this platform')], max_length=20, verbose_name='kind')),
                ('identifier_kind', models.CharField(blank=True, choices=[('uscc', 'Unified social credit code'), ('gln', 'GLN (GS1)'), ('other', 'Another register')], default='uscc', max_length=10, verbose_name='register')),
                ('identifier', models.CharField(blank=True, max_length=40, verbose_name='registration number')),
                ('address', models.CharField(blank=True, max_length=300, verbose_name='address')),
                ('contact_name', models.CharField(blank=True, max_length=100, verbose_name='contact person')),
                ('contact_phone', models.CharField(blank=True, max_length=60, verbose_name='contact phone')),
                ('contact_email', models.EmailField(blank=True, max_length=254, verbose_name='contact e-mail')),
                ('state', models.CharField(choices=[('unverified', 'Not verified yet'), ('pending', 'Waiting for verification'), ('verified', 'Verified'), ('rejected', 'Rejected')], default='unverified', max_length=12, verbose_name='verification')),
                ('state_reason', models.CharField(blank=True, max_length=500, verbose_name='reason')),
                ('verified_at', models.DateTimeField(blank=True, null=True, verbose_name='verified at')),
                ('verified_until', models.DateField(blank=True, null=True, verbose_name='verified until')),
                ('announced_state', models.CharField(default='unverified', editable=False, max_length=12)),
                ('source', models.CharField(blank=True, max_length=60, verbose_name='imported from')),
                ('source_key', models.CharField(blank=True, max_length=200, verbose_name='key there')),
                ('region', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='organisations', to='catalogue.region', verbose_name='region')),
                ('verified_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='verified by')),
            ],
            options={
                'verbose_name': 'organisation',
                'verbose_name_plural': 'organisations',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('role', models.CharField(choices=[('manager', 'Manager'), ('member', 'Member'), ('viewer', 'Viewer')], default='member', max_length=10, verbose_name='role')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL, verbose_name='user')),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='accounts.organisation', verbose_name='organisation')),
            ],
            options={
                'verbose_name': 'membership',
                'verbose_name_plural': 'memberships',
                'abstract': False,
            },
        ),
        migrations.CreateModel(
            name='Evidence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='created')),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False, verbose_name='changed')),
                ('document', models.FileField(help_text='PDF, JPEG or PNG, up to 5 MB.', upload_to=apps.accounts.models.evidence_path, validators=[django.core.validators.FileExtensionValidator(['pdf', 'jpg', 'jpeg', 'png'])], verbose_name='document')),
                ('note', models.CharField(blank=True, max_length=200, verbose_name='what it shows')),
                ('uploaded_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='uploaded by')),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='evidence', to='accounts.organisation', verbose_name='organisation')),
            ],
            options={
                'verbose_name': 'evidence',
                'verbose_name_plural': 'evidence',
                'abstract': False,
            },
        ),
        migrations.AddConstraint(
            model_name='user',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('email'), name='user_email_unique', violation_error_message='This address is taken.'),
        ),
        migrations.AddConstraint(
            model_name='apitoken',
            constraint=models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['read', 'write', 'exports', 'contacts']), ('scopes__len__gt', 0)), name='token_scopes_known'),
        ),
        migrations.AddIndex(
            model_name='organisation',
            index=models.Index(fields=['state', 'kind'], name='organisation_by_state'),
        ),
        migrations.AddIndex(
            model_name='organisation',
            index=models.Index(condition=models.Q(('state', models.F('announced_state')), _negated=True), fields=['id'], name='organisation_unannounced'),
        ),
        migrations.AddIndex(
            model_name='organisation',
            index=models.Index(fields=['updated_at', 'id'], name='organisation_by_change'),
        ),
        migrations.AddIndex(
            model_name='organisation',
            index=models.Index(condition=models.Q(('state', 'verified'), _negated=True), fields=['id'], name='organisation_not_verified'),
        ),
        migrations.AddConstraint(
            model_name='organisation',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['unverified', 'pending', 'verified', 'rejected'])), name='organisation_state_known'),
        ),
        migrations.AddConstraint(
            model_name='organisation',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['hospital', 'health_facility', 'community', 'enterprise', 'supplier', 'carrier', 'government', 'coordinator'])), name='organisation_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='organisation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'verified'), _negated=True), ('verified_at__isnull', False), _connector='OR'), name='organisation_verified_at_known'),
        ),
        migrations.AddConstraint(
            model_name='organisation',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('state', 'rejected'), _negated=True), models.Q(('state_reason', ''), _negated=True), _connector='OR'), name='organisation_rejected_with_reason'),
        ),
        migrations.AddConstraint(
            model_name='organisation',
            constraint=models.UniqueConstraint(condition=models.Q(('source', ''), _negated=True), fields=('source', 'source_key'), name='organisation_imported_once'),
        ),
        migrations.AddConstraint(
            model_name='organisation',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'verified'), models.Q(('identifier', ''), _negated=True)), fields=('identifier_kind', 'identifier'), name='organisation_verified_identifier_once'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='organisation',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='246be27808c8ef6c57aa44b376ff504f72fc22cb', operation='UPDATE', pgid='pgtrigger_keep_updated_at_68af6', table='accounts_organisation', when='BEFORE')),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.UniqueConstraint(fields=('user', 'organisation'), name='membership_once'),
        ),
        migrations.AddConstraint(
            model_name='membership',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['manager', 'member', 'viewer'])), name='membership_role_known'),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='membership',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='5213ef46b34e18cfbee51d76f06ed8e8702fdf00', operation='UPDATE', pgid='pgtrigger_keep_updated_at_51ed6', table='accounts_membership', when='BEFORE')),
        ),
        pgtrigger.migrations.AddTrigger(
            model_name='evidence',
            trigger=pgtrigger.compiler.Trigger(name='keep_updated_at', sql=pgtrigger.compiler.UpsertTriggerSql(func='NEW.updated_at = clock_timestamp(); RETURN NEW;', hash='aa77779aed63e2c953e32f5d7739dac4c71559ab', operation='UPDATE', pgid='pgtrigger_keep_updated_at_22c57', table='accounts_evidence', when='BEFORE')),
        ),
    ]
