from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PortalConfig(AppConfig):
    name = "apps.portal"
    verbose_name = _("portal")

    def ready(self) -> None:
        # allauth and Django tell these by signals only.
        from allauth.account.signals import email_added, password_reset
        from django.contrib.auth.signals import user_logged_in

        from apps.portal.entrance import adapter, sessions

        user_logged_in.connect(sessions.begin)
        email_added.connect(adapter.on_address_requested)
        password_reset.connect(adapter.on_password_reset)
