# Sentences: read by browser.py.
def lesson_ready(prefix):
    return " / " in text(f"#{prefix}-epoch") and not js("return document.querySelector(arguments[0]).disabled", f"#{prefix}-start")


def of_words():
    return js("return [...document.querySelectorAll('#sents-words .word')].map(e => [e.firstChild.textContent, Number(e.lastChild.textContent.replace('−', '-')), e.className])")


load("#sentences&samples=300&held=60&maps=16&epochs=6&filters=2+3")
until(lambda: lesson_ready("sents"), "a model of sentences")
first = text("#sents-correct-v")
press("#sents-start")
until(lambda: text("#sents-epoch") == "6 / 6", "six epochs of sentences", 120)
check(float(text("#sents-correct-v").split()[0]) > max(80, float(first.split()[0])), f"it learns: {first}, then {text('#sents-correct-v')}")
check(js("return document.querySelectorAll('#sents-train tbody tr, #sents-test tbody tr').length") == 24, "sentences are listed")
for sentence, word, sign in (("the plot is warm", "warm", 1), ("the plot is shallow", "shallow", -1)):
    put("#sents-text", sentence)
    until(lambda: [w[0] for w in of_words()] == sentence.split(), sentence)
    strongest = max(of_words(), key=lambda w: abs(w[1]))
    check(strongest[0] == word and strongest[1] * sign > 0.1, f"{sentence}: {of_words()}")
    check(text("#sents-says").startswith("For" if sign > 0 else "Against"), text("#sents-says"))
put("#sents-text", "It isn't <b>warm</b>!")
until(lambda: [w[0] for w in of_words()] == ["it", "is", "n't", "<", "b", ">", "warm", "<", "/", "b", ">", "!"], "marks stand alone, and are text")
check("unknown" in of_words()[3][2], "a word that the data has not")
js("document.querySelector('#sents-test tbody button').click()")
until(lambda: " ".join(w[0] for w in of_words()) == text("#sents-test tbody button"), "a listed sentence is looked at")
kept, said = saved("#sents-save"), text("#sents-says")
put("#sents-epochs", 7)
until(lambda: text("#sents-epoch") == "0 / 7" and text("#sents-says") != said, "a run anew")
if kept:
    one("#sents-file").send_keys(kept)
    until(lambda: text("#sents-epoch") == "6 / 6" and text("#sents-says") == said, "what was saved says the same")
    press("#sents-start")
    until(lambda: text("#sents-epoch") == "6 / 6", "and is trained anew when it had ended")
put("#sents-filters", "3 3")
until(lambda: "filters" in text("#said"), "the same filter twice is told")
put("#sents-filters", "3")
until(lambda: text("#said") == "" and text("#sents-epoch") == "0 / 6" and lesson_ready("sents"), "and one of them taken")
if asked.long and not js("return document.querySelector('#sents-data').lastElementChild.disabled"):
    put("#sents-data", "files")
    until(lambda: lesson_ready("sents") and text("#said") == "" and "·" in text("#sents-test"), "sentences of files")
    press("#sents-start")
    until(lambda: text("#sents-epoch") == "6 / 6", "six epochs of files", 120)
