import pytest
from django.test import Client

from apps.accounts.models import User


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/", "/login/", "/register/", "/promise/", "/account/password/reset/"])
def test_every_public_page_answers_in_english_and_says_so(client: Client, path: str) -> None:
    response = client.get(path, headers={"accept-language": "en"})

    assert response.status_code == 200
    assert '<html lang="en">' in response.text


def test_the_chosen_language_stays_with_the_person(client: Client, stranger: User) -> None:
    client.force_login(stranger)

    client.post("/language/", {"language": "zh-hans", "next": "/account/"})

    assert '<html lang="zh-Hans">' in client.get("/account/").text
