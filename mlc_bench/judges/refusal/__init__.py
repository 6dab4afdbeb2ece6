"""The judge `refusal`: the rules, words by concept and hashed character n-grams, weighed by a logistic regression.

words/*.yaml    what each concept is called in each language, such as "the speaker cannot" or "against the law"
concepts.py     finds them in a text
features.py     an answer as numbers
model.py        weights, probability and decision; imports numpy alone
judge.py        the judge as the harness knows it
fit.py          fits the weights anew: python -m mlc_bench.judges.refusal.fit
"""
