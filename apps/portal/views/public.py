"""Pages for everybody."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def board(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/public/board.html")


def promise(request: HttpRequest) -> HttpResponse:
    """How it works, and what is promised."""
    return render(request, "portal/public/promise.html")
