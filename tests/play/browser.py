"""The page in headless Chromium: knobs are turned, and what they do is looked at.

    python3 tests/play/browser.py URL [--long] [--pictures FOLDER]
"""
import argparse
import glob
import json
import os
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("--long", action="store_true")
parser.add_argument("--pictures")
parser.add_argument("--only", nargs="*", help="of the pages")
asked = parser.parse_args()
faults = []


def check(good, what):
    if not good:
        faults.append(what)


options = webdriver.ChromeOptions()
for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,1000", "--force-color-profile=srgb"):
    options.add_argument(word)
folder = tempfile.mkdtemp()
options.add_experimental_option("prefs", {"download.default_directory": folder})
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
d = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)


def one(css):
    return d.find_element(By.CSS_SELECTOR, css)


def js(text, *args):
    return d.execute_script(text, *args)


def until(test, what, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        try:
            found = test()
        except Exception:  # what is looked at is being drawn anew
            found = None
        if found:
            return found
        time.sleep(0.05)
    check(False, f"{what}: not in {seconds} s; it says {one('#said').text!r}")
    return None


def text(css):
    return js("return document.querySelector(arguments[0])?.textContent ?? ''", css)


def put(css, value):
    """As a visitor would: a new value, and the events that go with it."""
    js("""const e = document.querySelector(arguments[0]); e.value = arguments[1];
          e.dispatchEvent(new Event('input', { bubbles: true }));
          e.dispatchEvent(new Event('change', { bubbles: true }));""", css, str(value))


def press(css):
    js("document.querySelector(arguments[0]).click()", css)


def picture(name):
    if asked.pictures:
        d.save_screenshot(f"{asked.pictures}/{name}.png")


def load(hash=""):
    d.get("about:blank")
    d.get(asked.url + hash)
    until(lambda: js("return document.documentElement.dataset.ready") == "yes", "the page")


def epoch(run=0):
    word = text(f"#run-{run} .epoch").split(" / ")[0]
    return int(word) if word.isdigit() else -1


def built(run=0):
    return js("return play.runs[arguments[0]]?.built && !document.querySelector(`#run-${arguments[0]} .start`).disabled", run)


def saved(button):
    """The file that a press of Save gives."""
    before = set(glob.glob(folder + "/*.json"))
    press(button)
    found = until(lambda: set(glob.glob(folder + "/*.json")) - before, f"{button} gives a file")
    return found.pop() if found else None


for page in asked.only or ("train", "digits", "sentences", "characters", "compiler", "sandbox", "access"):
    name = __file__.replace("browser.py", page + "_page.py")
    exec(compile(open(name).read(), name, "exec"))
for entry in d.get_log("browser"):
    check("status of 400" in entry["message"], "the browser complains: " + entry["message"][:300])
d.quit()
for fault in faults:
    print(fault)
sys.exit(len(faults) > 0)
