# Digits: read by browser.py.
load("#digits&samples=300&epochs=8&batch=16")
stands = lambda: " / " in text("#digits-epoch") and not js("return document.querySelector('#digits-start').disabled")
until(stands, "LeNet")
first = text("#digits-correct")
press("#digits-start")
until(lambda: text("#digits-epoch") == "8 / 8", "eight epochs of LeNet", 120)
check(float(text("#digits-correct").split()[0]) > max(50, float(first.split()[0])), f"LeNet learns: {first}, then {text('#digits-correct')}")
check(js("return document.querySelectorAll('#digits-maps canvas').length") == 6 + 6 + 16 + 16, "a picture for each channel of each layer")
counts = js("return [...document.querySelectorAll('#digits-confusion td')].reduce((s, e) => s + Number(e.textContent), 0)")
check(counts == 300, f"the confusion matrix counts {counts}")
before = text("#digits-says")
seen = set()
for image in range(8):
    put("#digits-image", image)
    until(lambda: js("return document.querySelector('#digits-picture').toDataURL()") not in seen, f"picture {image}")
    seen.add(js("return document.querySelector('#digits-picture').toDataURL()"))
# a one by the mouse
press("#digits-clear")
js("""const c = document.querySelector('#digits-picture'), r = c.getBoundingClientRect();
      const at = (type, y) => c.dispatchEvent(new PointerEvent(type, { bubbles: true, pointerId: 1, clientX: r.left + r.width / 2, clientY: r.top + r.height * y }));
      c.setPointerCapture = () => {};
      at('pointerdown', 0.2); for (let y = 0.2; y < 0.8; y += 0.03) at('pointermove', y); at('pointerup', 0.8);""")
until(lambda: text("#digits-says").startswith("It says") and ";" not in text("#digits-says") and "," not in text("#digits-says"), "a drawn digit is read")
put("#digits-rate", 5)
until(lambda: "rate" in text("#said"), "a refused rate is told")
put("#digits-rate", 0.02)
until(lambda: stands() and text("#said") == "" and text("#digits-epoch") == "0 / 8", "and the next one taken")
if asked.long and not js("return document.querySelector('#digits-data').lastElementChild.disabled"):
    put("#digits-data", "mnist")
    until(lambda: stands() and text("#said") == "", "MNIST")
    press("#digits-start")
    until(lambda: text("#digits-epoch") == "8 / 8", "eight epochs of MNIST", 120)
for size in (1024, 512):
    d.set_window_size(size, 800)
    check(js("return document.documentElement.scrollWidth <= innerWidth"), f"Digits, {size} pixels: it is wider than the window")
d.set_window_size(1280, 1000)
