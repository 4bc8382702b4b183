"""Instructions for the episodes of a store: by a vision-language model that sees keyframes, or offline from facts.

`keyframes` draws what the model sees, `prompt` says what it is asked and what counts as an answer, `endpoint` sends it,
`annotating` does so for a store, resumably, and `cost` says before what it will take.
"""
