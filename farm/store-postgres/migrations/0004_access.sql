-- Who may what: people, their secrets' digests, and what they did.

create table member (
    position bigint  generated always as identity primary key,
    id       text    collate "C" not null unique,
    name     text    collate "C" not null,
    removed  boolean not null,
    created  bigint  not null,
    body     text    not null
);
create unique index member_by_name on member (name) where not removed;

create table token (
    position bigint generated always as identity primary key,
    id       text   collate "C" not null unique,
    hash     text   collate "C" not null unique,
    earlier  text   collate "C",
    created  bigint not null,
    body     text   not null
);
create index token_by_earlier on token (earlier) where earlier is not null;

-- Rows are only ever added; each names the digest of the one before.
create table audit (
    seq  bigint primary key,
    at   bigint not null,
    who  text   collate "C" not null,
    body text   not null
);
create index audit_by_who on audit (who, seq);
create function audit_stays() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is only ever added to';
end
$$;
create trigger audit_stays before update or delete on audit for each row execute function audit_stays();
