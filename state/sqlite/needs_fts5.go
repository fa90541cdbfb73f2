//go:build !sqlite_fts5 && !fts5

package sqlite

// Without the tag SQLite has no full-text search, and creating the database would fail.
var _ = dplane_needs_full_text_search__build_with_go_build_tags_sqlite_fts5
