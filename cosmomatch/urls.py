"""Every address of the program, by app."""

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

# The back office has no log-in of its own: that would know neither second factors nor how often somebody may guess.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign, no-untyped-call]  # allauth's way

urlpatterns: list[URLPattern | URLResolver] = [
    path("", include("apps.ops.urls")),
    path("", include("apps.local.urls")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("account/", include("allauth.urls")),
    path("api/v1/", include("apps.api.urls")),
    path("", include("apps.portal.urls")),
]

# Under /api/ an error is a problem document, elsewhere a page.
handler400 = "apps.api.protocol.problems.bad_request"
handler403 = "apps.api.protocol.problems.not_allowed"
handler404 = "apps.api.protocol.problems.not_found"
handler500 = "apps.api.protocol.problems.server_error"
