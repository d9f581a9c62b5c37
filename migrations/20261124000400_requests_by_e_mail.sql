-- Whoever left the directory, and of whose events no names were kept, is still found by the e-mail of a request.
create index requests_by_email on requests (lower(requester_email));
