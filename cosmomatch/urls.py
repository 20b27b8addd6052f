"""Every URL of the program, by app."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from apps.portal.views import account

# The back office uses the log-in of the portal. Django's own would know no second factor and no limit on guesses.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign, no-untyped-call]  # allauth's way

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("apps.ops.urls")),
    path("", include("apps.local.urls")),
    # Django's own page counts no wrong passwords and tells nobody.
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("account/sessions/", account.sessions, name="sessions"),  # before allauth's page, which shows no tokens
    path("account/", include("allauth.urls")),
    path("api/v1/", include("apps.api.urls")),
    path("", include("apps.portal.urls")),
]

# One handler for each error, which answers with a problem document under /api/ and with a page elsewhere.
handler400 = "apps.api.protocol.problems.bad_request"
handler403 = "apps.api.protocol.problems.not_allowed"
handler404 = "apps.api.protocol.problems.not_found"
handler500 = "apps.api.protocol.problems.server_error"
