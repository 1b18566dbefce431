# Train: read by browser.py.
began = time.time()
load()
check(built(), "a first run stands without a press of anything")
put("#run-0 select.pace", 5)
press("#run-0 .start")
until(lambda: epoch() > 20, "training")
check(text("#run-0 .start") == "Pause", "Start becomes Pause")
until(lambda: text("#run-0 .took").endswith("s"), "a step's time")
press("#run-0 .start")
until(lambda: js("return document.querySelector('#run-0').dataset.state") == "still", "pause")
at = epoch()
time.sleep(0.3)
check(epoch() == at, "a paused run goes on")
step = js("return play.runs[0].picture.step")
press("#run-0 .step")
until(lambda: js("return play.runs[0].picture.step") == step + 1, "one step")
check(js("return play.runs[0].history.loss.length") > 3, "the loss has a curve")
check(js("return document.querySelectorAll('#run-0 .chart canvas').length") >= 8, "four charts are drawn")
check(js("""const c = document.querySelector('#run-0 .plane').getContext('2d').getImageData(0, 0, 440, 440).data;
            return new Set(c.filter((_, i) => i % 4 === 0)).size""") > 20, "the plane is painted")
press("#run-0 .reset")
until(lambda: epoch() == 0 and built(), "reset")

# settings in the address, and back from it
put("#knob-set", "xor")
until(lambda: js("return play.runs[0].settings.set") == "xor" and built() and js("return play.runs[0].points.length") == 200, "another set")
check("set=xor" in d.current_url, "the set is in the address")
put("#knob-points", 50)
until(lambda: built() and js("return play.runs[0].points.length") == 50, "fewer points")
load("#train&set=circle&points=40&hidden=5+3&two=1&b.set=moons")
until(lambda: built(0) and built(1) and js("return play.runs[0].points.length") == 40, "settings from the address")
check(js("return play.runs[0].values['layer2.weight'].shape.join()") == "3,5", "widths from the address")
check(js("return play.runs[1].settings.set") == "moons", "the second run's settings")

# two runs at once, each its own
press("#run-1 .start")
until(lambda: epoch(1) > 5, "the second run")
check(epoch(0) == 0, "the first run moves with the second")
press("#run-1 .start")

# what a step takes, by engine, beside the switch
press("#edit-1")
put("#knob-engine", "unfused")
until(lambda: built(1) and js("return play.runs[1].settings.engine") == "unfused", "another engine")
press("#run-1 .start")
until(lambda: "fused" in text("#times") and "unfused" in text("#times"), "times of both engines")
press("#run-1 .start")
press("#edit-0")

# by hand: a slider a parameter
js("document.querySelector('#run-0 .hand').open = true")
until(lambda: js("return document.querySelectorAll('#run-0 .sliders input').length") == 15 + 18 + 4, "a slider a parameter")
before = js("return play.runs[0].picture.shade")
put("#run-0 .sliders input", 7.5)
until(lambda: js("return play.runs[0].picture.shade") != before, "a slider changes the picture")

# saved to a file, and back into the other run's place
kept = saved("#save")
wanted = js("return play.runs[0].values['layer1.weight'].values[0]")
check(kept and json.load(open(kept))["values"]["layer1.weight"][0] == 7.5, "the file has the weight that was set by hand")
press("#edit-1")
if kept:
    one("#file").send_keys(kept)
    until(lambda: built(1) and js("return play.runs[1].settings.set") == "circle" and js("return play.runs[1].values['layer1.weight'].values[0]") == 7.5, "a file loaded into run B")
    check(one("#knob-set").get_property("value") == "circle", "the knobs show what was loaded")
open(folder + "/none.txt", "w").write("{")
one("#file").send_keys(folder + "/none.txt")
until(lambda: "no saved run" in text("#said"), "a file that is none is told")
press("#edit-0")

# a value that is refused is told, and the next one works
put("#knob-points", 50000)
until(lambda: "points" in text("#said"), "a refusal is told")
put("#knob-points", 60)
until(lambda: built() and js("return play.runs[0].points.length") == 60 and text("#said") == "", "and forgotten")

# the keyboard alone: the first tab stop that is a Start, by Enter
js("document.querySelector('#run-0 .start').focus()")
one("#run-0 .start").send_keys(Keys.ENTER)
until(lambda: epoch() > 0, "Start by the keyboard")
one("#run-0 .start").send_keys(Keys.ENTER)

if asked.long:
    def settled(name, value, test=None):
        put(f"#knob-{name}", value)
        until(lambda: built() and str(js("return play.runs[0].settings[arguments[0]]", name)) == str(value), f"{name} {value}")
        until(lambda: epoch() == 0, f"{name} {value} begins anew")
        press("#run-0 .start")
        until(lambda: epoch() > 0 or js("return play.runs[0].picture.done"), f"{name} {value} trains", 240)
        check(text("#said") == "", f"{name} {value}: {text('#said')}")
        if text("#run-0 .start") == "Pause":  # a run that is done would begin again
            press("#run-0 .start")
        until(lambda: js("return document.querySelector('#run-0').dataset.state") != "playing", f"{name} {value} pauses")

    load("#train&points=40&hidden=4&batch=0")
    for knob in js("return fetch('api/knobs').then(r => r.json())")["knobs"]:
        if knob["kind"] == "s":
            for word in knob["words"]:
                settled(knob["name"], word)
            put(f"#knob-{knob['name']}", knob["usual"])
        elif knob["name"] == "hidden":
            for widths in ("", "3", "2 3 4 5 6 7"):
                settled("hidden", widths)
            put("#depth", 2)
            until(lambda: built() and len(js("return play.runs[0].settings.hidden").split()) == 2, "depth")
        else:
            value = {"points": 77, "noise": 0.1, "validation": 0.5, "seed": 9, "rate": 0.5, "batch": 7,
                     "epochs": 50, "momentum": 0.5, "weight_decay": 0.01}[knob["name"]]
            settled(knob["name"], value)
            put(f"#knob-{knob['name']}", knob["usual"])
    # x axis only, the table, light and dark
    load("#train&set=simple&points=60")
    press("#run-0 .start")
    until(lambda: epoch() > 30, "training")
    plain = js("return document.querySelector('#run-0 .plane').toDataURL()")
    press("#run-0 .axis")
    until(lambda: js("return document.querySelector('#run-0 .plane').toDataURL()") != plain, "x axis only")
    press("#run-0 .start")
    js("document.querySelector('#run-0 details.table').open = true")
    until(lambda: js("return document.querySelectorAll('#run-0 .table tbody tr').length") > 3, "the table")
    theme = js("return document.documentElement.dataset.theme")
    press("#theme")
    check(js("return document.documentElement.dataset.theme") != theme, "light and dark")
    # one point alone
    load("#train&points=1&set=simple")
    press("#run-0 .start")
    until(lambda: epoch() > 30, "training with one point")
    # a spiral of 500 points: pictures a second, and trained within a minute from the start page
    load("#train&points=500&validation=0")
    press("#run-0 .start")
    shown = 0
    for _ in range(8):
        time.sleep(1)
        shown = max(shown, int(text("#run-0 .fps").replace("–", "0")))
    print(f"pictures a second with 500 points: {shown}")
    check(shown >= 30, f"{shown} pictures a second with 500 points")
    # a first visit: the page as it comes, and a press of Start
    began = time.time()
    load()
    press("#run-0 .start")
    until(lambda: js("return play.runs[0].picture.accuracy[0]") > 0.97, "a trained spiral", 60)
    print(f"a trained spiral after {time.time() - began:.0f} s")

