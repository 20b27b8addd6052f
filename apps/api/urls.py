"""Every address under `/api/v1/`."""

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from apps.api import (
    catalogue,
    demands,
    description,
    exports,
    matches,
    offers,
    orders,
    organisations,
    stats,
    tokens,
    webhooks,
)

router = SimpleRouter()
router.register("items", catalogue.Items, "item")
router.register("standards", catalogue.Standards, "standard")
router.register("regions", catalogue.Regions, "region")
router.register("units", catalogue.Units, "unit")
router.register("demands", demands.Demands, "demand")
router.register("offers", offers.Offers, "offer")
router.register("matches", matches.Matches, "match")
router.register("orders", orders.Orders, "order")
router.register("organisations", organisations.Organisations, "organisation")
router.register("tokens", tokens.Tokens, "token")
router.register("webhooks", webhooks.Webhooks, "webhook")

app_name = "api"

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("exports/<str:dataset>", exports.Exports.as_view(), name="export"),
    path("exports/<str:dataset>/", exports.Exports.as_view(schema=None)),
    path("stats/", stats.Stats.as_view(), name="stats"),
    path("schema/", description.Description.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    path(
        "docs/",
        # A template of ours: the package's own has a style block, which the security policy forbids.
        SpectacularSwaggerSplitView.as_view(
            permission_classes=[], authentication_classes=[], url_name="api:schema", template_name="api/docs.html"
        ),
        name="docs",
    ),
]
