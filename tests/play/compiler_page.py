# Compiler: read by browser.py.
def nodes():
    return js("return document.querySelectorAll('#graph g.node').length")


def quiet():
    return not js("return document.querySelector('.panes').classList.contains('busy')") and js("return document.querySelectorAll('#arena rect').length") > 3


load("#compiler&model=planar&stage=fuse")
until(quiet, "the stage fuse of planar")
check("kernel layer1_dot_add_relu" in text("#text"), "the text has its kernels")
check(nodes() > 50, f"the graph has {nodes()} nodes")
check("new" in text("#changed") and js("return document.querySelectorAll('#text .new').length") > 5, "what is new is marked")
width = js("return document.querySelector('#graph svg').getAttribute('width')")
press("#zoom-in")
check(float(js("return parseFloat(document.querySelector('#graph svg').getAttribute('width'))")) > float(width), "zoom")

# a node lights its lines, here and in the loops and in C; a line its node
js("""[...document.querySelectorAll('#graph g.node')].find(g => g.textContent.includes('relu'))
      .querySelector('ellipse, polygon, path').dispatchEvent(new MouseEvent('click', { bubbles: true }))""")
check("relu" in text("#text div.lit"), "a node lights its line")
check(js("return document.querySelectorAll('#graph .lit').length") == 1, "and itself")
check("activated" in text("#program-text") or "relu" in text("#program-text div.lit"), f"and its line of the program: {text('#program-text div.lit')!r}")
js("[...document.querySelectorAll('#program-text div')].find(r => r.textContent.includes('tp_relu')).click()")
check(js("return document.querySelectorAll('#graph .near').length") > 0, "a line of the program lights its nodes")
one("#graph").send_keys(Keys.HOME, Keys.ARROW_RIGHT)
check(js("return document.querySelectorAll('#graph .lit').length") == 1, "arrow keys go from node to node")
one("#arena").send_keys(Keys.ARROW_RIGHT)
check("bytes at" in text("#arena-chosen"), "and from array to array")
one("#program-text").send_keys(Keys.ARROW_DOWN)
check(js("return document.querySelectorAll('#program-text div.lit').length") == 1, "and from line to line")
for stage in ("loops", "c"):
    js("[...document.querySelectorAll('#stages button')].find(b => b.textContent === arguments[0]).click()", stage)
    until(lambda: text("#text-title") == stage and quiet(), stage)
    js("""[...document.querySelectorAll('#graph g.node')].find(g => g.textContent.includes('relu'))
          .querySelector('ellipse, polygon, path').dispatchEvent(new MouseEvent('click', { bubbles: true }))""")
    check(js("return document.querySelectorAll('#text div.lit, #text div.near').length") > 0, f"a node lights lines of {stage}")
    js("document.querySelector('#text div[data-place^=\"models.c\"]').click()")
    check(js("return document.querySelectorAll('#graph .lit, #graph .near').length") > 0, f"a line of {stage} lights nodes")
check("for (long" in text("#text"), "the C is there")

# folded boxes, another model, a text of one's own
all_nodes = nodes()
press("#fold")
until(lambda: quiet() and 0 < nodes() < all_nodes, "boxes folded")
press("#fold")
until(lambda: quiet() and nodes() == all_nodes, "and unfolded")
put("#own-text", "step(x: f32[4 3]) {\n  %2 = exp %1\n  %3 = sum %2 axes=[0 1]\n  return loss=%3\n}\n")
press("#own-use")
until(lambda: quiet() or "sum" in text("#text"), "a text of one's own")
put("#own-text", "step(x: f32[4 3]) {\n  %2 = exp %7\n}\n")
press("#own-use")
until(lambda: "model.tp:2" in text("#said"), "a mistake in it is told with its line")
load("#train&points=30&hidden=3&set=xor")
press("#run-0 .look")
until(lambda: quiet() and "layer2.weight" in text("#text"), "the network of the page Train")

if asked.long:
    load("#compiler&model=lenet&stage=trace")
    for model in js("return [...document.querySelector('#model').options].map(o => o.value).filter(v => v)"):
        put("#model", model)
        stages = js("return [...document.querySelectorAll('#stages button')].map(b => b.textContent)")
        for stage in stages if model == "lenet" else ("trace", "c"):
            js("[...document.querySelectorAll('#stages button')].find(b => b.textContent === arguments[0]).click()", stage)
            until(lambda: text("#text-title") == stage and quiet(), f"{model} {stage}", 120)
            check(js("return document.querySelectorAll('#text div').length") > 5, f"{model} {stage}: a text")
    put("#model", "planar")
    put("#program", "eval")
    until(lambda: quiet() and "eval(" in text("#text"), "the program eval")
    press("#measure")
    until(lambda: js("return document.querySelectorAll('#kernels tbody tr').length") > 3, "kernels measured", 120)
