"""Every address under `/api/v1/`."""

from django.urls import URLPattern, URLResolver, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.routers import SimpleRouter

from apps.api import catalogue, demands, matches, offers, orders

router = SimpleRouter()
router.register("items", catalogue.Items, "item")
router.register("standards", catalogue.Standards, "standard")
router.register("regions", catalogue.Regions, "region")
router.register("units", catalogue.Units, "unit")
router.register("demands", demands.Demands, "demand")
router.register("offers", offers.Offers, "offer")
router.register("matches", matches.Matches, "match")
router.register("orders", orders.Orders, "order")

app_name = "api"

urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path("schema/", SpectacularAPIView.as_view(permission_classes=[], authentication_classes=[]), name="schema"),
    path(
        "docs/",
        SpectacularSwaggerSplitView.as_view(permission_classes=[], authentication_classes=[], url_name="api:schema"),
        name="docs",
    ),
]
