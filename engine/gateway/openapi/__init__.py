"""The contract as a document (OpenAPI 3.1), put together from the tables that the gateway itself works by.

`operations` lists what can be asked; `…_shapes` say what is sent and answered; codes, statuses and pauses come
from `gateway.problems`. `document` joins them, `page` shows the result to people, `serving` answers for both.
Nothing here is looked at while a claim is decided. Tests hold every answer of the gateway against the document.
"""
