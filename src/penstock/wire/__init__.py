"""Bytes, and no business: the upstream client, guarded fetches, event streams, forms, and signatures.

Other rooms import from the files: `http` (Http, Request, Response, Streamed), `outbound` (Guard, UrlRefused), `sse`
(event, Reader, Event, COMMENT), `multipart` (read_form, Part, Sink), `signing` (Signer, SecretBox, Secret, derive,
hash_key, webhook_headers).
"""
