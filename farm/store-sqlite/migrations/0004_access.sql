-- Who may what: people, their secrets' digests, and what they did.

create table user (
    position integer primary key,
    id       text    not null unique,
    name     text    not null,
    removed  integer not null check (removed in (0, 1)),
    created  integer not null,
    body     text    not null
) strict;
create unique index user_by_name on user (name) where removed = 0;

create table token (
    position integer primary key,
    id       text    not null unique,
    hash     text    not null unique,
    earlier  text,
    created  integer not null,
    body     text    not null
) strict;
create index token_by_earlier on token (earlier) where earlier is not null;

-- Rows are only ever added; each names the digest of the one before.
create table audit (
    seq  integer primary key,
    at   integer not null,
    who  text    not null,
    body text    not null
) strict;
create index audit_by_who on audit (who, seq);
create trigger audit_stays before update on audit begin select raise(abort, 'the audit log is only ever added to'); end;
create trigger audit_keeps before delete on audit begin select raise(abort, 'the audit log is only ever added to'); end;
