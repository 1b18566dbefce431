# Every page by the keyboard alone, in a window of 1024 pixels, at 200 %, light and dark: read by browser.py.
PAGES = {"train": "#run-0 .start", "digits": "#digits-start", "sentences": "#sents-start", "characters": "#chars-start", "compiler": "#arena rect",
         "modules": "#modules-tree svg", "maths": "#maths-graph svg", "autodiff": "#autodiff-backward svg", "tensors": "#tensor-strip .cell"}
STOPS = """return [...document.querySelectorAll('a, button, select, input, textarea, summary, [tabindex]')].filter(e =>
           e.tabIndex >= 0 && !e.disabled && e.checkVisibility() && !e.closest('details:not([open]) > :not(summary)')).map((e, i) => { e.dataset.stop = i; return e.id || e.outerHTML.slice(0, 60); })"""
FOCUSED = """const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect();
             return [e.dataset.stop ?? '', s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 1, r.width > 0 && r.bottom > 0 && r.top < innerHeight]"""


def opened(page):
    load("#" + page)
    until(lambda: js("const e = document.querySelector(arguments[0]); return e && !e.disabled", PAGES[page]), f"the page {page}")
    time.sleep(0.3)


def by_tab(page):
    stops = js(STOPS)
    reached, dull, unseen = set(), set(), set()
    js("document.activeElement.blur(); window.getSelection().removeAllRanges()")
    for _ in range(len(stops) + 12):  # what scrolls is a stop as well
        ActionChains(d).send_keys(Keys.TAB).perform()
        stop, ring, seen = js(FOCUSED)
        if stop != "":
            reached.add(int(stop))
            ring or dull.add(stops[int(stop)])
            seen or stops[int(stop)].startswith("<a") or unseen.add(stops[int(stop)])
    missing = [name for i, name in enumerate(stops) if i not in reached]
    check(not missing, f"{page}: Tab does not reach {missing[:5]}")
    check(not dull, f"{page}: nobody sees that these have the focus: {sorted(dull)[:5]}")
    check(not unseen, f"{page}: these are out of sight when they have the focus: {sorted(unseen)[:5]}")
    check(len(stops) < 90, f"{page}: {len(stops)} stops of Tab")


def narrow(page):
    for width, zoom in ((1024, 1), (512, 2)):  # the second: 1024 pixels at 200 %
        d.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 800 // zoom, "deviceScaleFactor": zoom, "mobile": False})
        time.sleep(0.15)
        check(js("return document.documentElement.scrollWidth <= innerWidth"), f"{page}, {width} pixels: it is wider than the window")
        beyond = js("""return [...document.querySelectorAll('button, select, input, textarea, summary, h2')].filter(e => e.checkVisibility() && !e.closest('.wide, .boxes, .skip'))
                       .filter(e => { const r = e.getBoundingClientRect(); return r.width && (r.right > innerWidth + 1 || r.left < -1); }).map(e => e.id || e.outerHTML.slice(0, 60))""")
        check(not beyond, f"{page}, {width} pixels: beyond the window: {beyond[:5]}")
        picture(f"{page}-{width}")
    d.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def light(of):
    rgb = js("""const c = document.createElement('canvas').getContext('2d'); c.fillStyle = play.colour(arguments[0]); c.fillRect(0, 0, 1, 1);
                return [...c.getImageData(0, 0, 1, 1).data].slice(0, 3)""", of)
    part = lambda v: v / 3294.6 if v <= 10 else ((v / 255 + 0.055) / 1.055) ** 2.4
    return sum(w * part(v) for w, v in zip((0.2126, 0.7152, 0.0722), rgb))


# contrast of WCAG 2.1, 1.4.3
opened("train")
for theme in ("light", "dark"):
    while js("return document.documentElement.dataset.theme") != theme:
        press("#theme")
    for ink, paper in (("ink", "paper"), ("ink", "card"), ("ink", "code"), ("soft", "paper"), ("soft", "card"), ("soft", "code"), ("accent", "card"), ("accent", "code"), ("on-accent", "accent"),
                       ("bad", "paper"), ("zero", "card"), ("one-text", "card"), ("third", "card"), ("third", "code"), ("fourth", "code")):
        a, b = sorted((light(ink), light(paper)))
        check((b + 0.05) / (a + 0.05) >= 4.5, f"{theme}: {ink} on {paper} has a contrast of {(b + 0.05) / (a + 0.05):.2f}")

for page in PAGES if asked.long else ("train", "digits", "autodiff"):
    opened(page)
    by_tab(page)
    narrow(page)

# a page is chosen, a knob turned and a training begun without a mouse
opened("train")
js("document.querySelector('#tab-train').focus()")
ActionChains(d).send_keys(Keys.ARROW_RIGHT).perform()
check(js("return document.querySelector('#page-digits').checkVisibility()"), "an arrow key goes to the next page")
ActionChains(d).send_keys(Keys.ARROW_LEFT).perform()
knobs = js("return [...document.querySelectorAll('#groups [id^=knob-]')].filter(e => e.tabIndex >= 0 && /SELECT|INPUT/.test(e.tagName)).map(e => e.id)")
for knob in knobs if asked.long else ("knob-set", "knob-points"):
    e = one("#" + knob)
    before = js("return arguments[0].value", e)
    js("arguments[0].focus()", e)
    keys = [Keys.END, " 3"] if knob == "knob-hidden" else [Keys.ARROW_DOWN] if e.tag_name == "select" else [Keys.ARROW_UP]
    ActionChains(d).send_keys(*keys).send_keys(Keys.TAB).perform()
    until(lambda: js("return arguments[0].value", e) != before, f"{knob} by the keyboard")
    until(lambda: built() and text("#said") == "", f"{knob} by the keyboard is taken")
js("document.querySelector('#run-0 .start').focus()")
ActionChains(d).send_keys(Keys.ENTER).perform()
until(lambda: epoch() > 0, "a training begun by the keyboard")
js("document.querySelector('#two').focus()")
ActionChains(d).send_keys(" ").perform()
until(lambda: built(1), "a second run by the keyboard")
opened("digits")
one("#digits-picture").send_keys(" ", *[Keys.ARROW_DOWN] * 18, " ")
until(lambda: text("#digits-says").startswith("It says") and ";" not in text("#digits-says") and "," not in text("#digits-says"), "a digit drawn by arrow keys")
opened("tensors")
js("document.querySelector('#tensor-strip .lit').focus()")
ActionChains(d).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
until(lambda: "position 2," in text("#tensor-told"), "arrow keys go through the storage")
