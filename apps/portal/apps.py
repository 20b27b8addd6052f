from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PortalConfig(AppConfig):
    name = "apps.portal"
    verbose_name = _("portal")

    def ready(self) -> None:
        # allauth and Django tell these by signals only.
        from allauth.account.signals import authentication_step_completed, email_added, password_reset
        from allauth.mfa.signals import authentication_failed
        from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed

        from apps.portal.entrance import adapter, sessions, trail

        user_logged_in.connect(sessions.begin)
        authentication_step_completed.connect(sessions.renew_key)
        user_logged_in.connect(trail.on_logged_in)
        user_logged_out.connect(trail.on_logged_out)
        user_login_failed.connect(trail.on_password_refused)
        authentication_failed.connect(trail.on_factor_refused)
        email_added.connect(adapter.on_address_requested)
        password_reset.connect(adapter.on_password_reset)
