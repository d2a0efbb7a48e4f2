"""A person's hands on the page in a browser: press what is there, and wait for what comes of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By

from tests.waiting import until

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


def press(browser: Chrome, text: str, within: str = "main") -> None:
    """Press the button, or follow the link, that says so."""
    kinds, named = "self::button or self::a or self::summary", json.dumps(text, ensure_ascii=False)
    path = f"//{within}//*[{kinds}][normalize-space()={named}]"
    found = [one for one in browser.find_elements(By.XPATH, path) if one.is_displayed()]
    assert found, f"no {text!r} in {browser.find_element(By.TAG_NAME, 'body').text}"
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", found[0])  # type: ignore[no-untyped-call]
    click(browser, found[0])


def press_plain(browser: Chrome, text: str) -> None:
    """Press a button where no script runs."""
    click(browser, next(one for one in browser.find_elements(By.TAG_NAME, "button") if one.text == text))


def click(browser: Chrome, element: Any) -> None:
    """Click, and wait for the page that it leads to."""
    leads_on = element.tag_name in {"a", "button"}
    before = browser.find_element(By.TAG_NAME, "html")
    element.click()
    if leads_on:
        until(lambda: _is_gone(before))


def _is_gone(element: Any) -> bool:
    try:
        element.is_enabled()
    except WebDriverException:  # stale, or its document goes while the driver looks for it
        return True
    return False


def labelled(browser: Chrome, label: str) -> None:
    """Press the button with that label."""
    click(browser, browser.find_element(By.CSS_SELECTOR, f'button[aria-label="{label}"]'))


def said(browser: Chrome) -> str:
    """Return what the page says."""
    return browser.find_element(By.TAG_NAME, "main").text


def pick(browser: Chrome, *numbers: int) -> None:
    """Select rows of a list."""
    boxes = browser.find_elements(By.CSS_SELECTOR, 'tbody input[type="checkbox"]')
    for number in numbers:
        boxes[number].click()


def choose(browser: Chrome, jid: str) -> None:
    """Select the row of a job."""
    browser.find_element(By.CSS_SELECTOR, f'input[aria-label="Select {jid}"]').click()


def write(browser: Chrome, field: str, text: str) -> None:
    """Write into a field, in place of what it has."""
    found = browser.find_element(By.ID, field)
    found.clear()
    found.send_keys(text)
