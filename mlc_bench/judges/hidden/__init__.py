"""The judge `refusal-hidden`: hidden states of a small causal LM, weighed by a logistic regression.

states.py   prompt and answer as one vector: the means of a layer's hidden states
head.py     the fitted weights, and which model they belong to; imports numpy alone
judge.py    the judge as the harness knows it
fit.py      fits a head, for any model: python -m mlc_bench.judges.hidden.fit
"""
