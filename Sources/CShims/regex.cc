// SPDX-License-Identifier: Apache-2.0
// RE2 behind C functions, with Go's syntax where RE2 of this age differs.
#include "cshims.h"

#include <re2/re2.h>

#include <cstdio>
#include <string>
#include <vector>

struct tern_regex {
    re2::RE2 re;
    tern_regex(const re2::StringPiece &pattern, const re2::RE2::Options &options)
        : re(pattern, options) {}
};

// Go accepts (?<name>...) and rejects \C; this RE2 does the opposite of both.
static bool rewrite(const char *pattern, size_t count, std::string &out, std::string &error) {
    bool in_class = false;
    for (size_t i = 0; i < count; i++) {
        char c = pattern[i];
        if (c == '\\' && i + 1 < count) {
            if (pattern[i + 1] == 'C') {
                error = "invalid escape sequence: `\\C`";
                return false;
            }
            if (pattern[i + 1] == 'Q' && !in_class) {
                size_t end = std::string(pattern + i, count - i).find("\\E");
                size_t length = end == std::string::npos ? count - i : end + 2;
                out.append(pattern + i, length);
                i += length - 1;
                continue;
            }
            out.push_back(c);
            out.push_back(pattern[++i]);
            continue;
        }
        if (in_class) {
            if (c == ']') in_class = false;
        } else if (c == '[') {
            in_class = true;
            out.push_back(c);
            if (i + 1 < count && pattern[i + 1] == '^') out.push_back(pattern[++i]);
            if (i + 1 < count && pattern[i + 1] == ']') out.push_back(pattern[++i]);
            continue;
        } else if (c == '(' && i + 2 < count && pattern[i + 1] == '?' && pattern[i + 2] == '<') {
            out.append("(?P<");
            i += 2;
            continue;
        }
        out.push_back(c);
    }
    return true;
}

tern_regex *tern_regex_new(const char *pattern, size_t count, int flags, char *error,
                           size_t error_capacity) {
    std::string text, message;
    if (rewrite(pattern, count, text, message)) {
        re2::RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(16 << 20);
        options.set_dot_nl((flags & TERN_RE_DOT_NEWLINE) != 0);
        options.set_case_sensitive((flags & TERN_RE_CASELESS) == 0);
        if (flags & TERN_RE_LATIN1) options.set_encoding(re2::RE2::Options::EncodingLatin1);
        auto *regex = new tern_regex(text, options);
        if (regex->re.ok()) return regex;
        message = regex->re.error();
        delete regex;
    }
    snprintf(error, error_capacity, "%s", message.c_str());
    return nullptr;
}

void tern_regex_free(tern_regex *regex) { delete regex; }

static re2::StringPiece piece(const uint8_t *text, size_t count) {
    return re2::StringPiece(reinterpret_cast<const char *>(text), count);
}

bool tern_regex_full(const tern_regex *regex, const uint8_t *text, size_t count) {
    return regex->re.Match(piece(text, count), 0, count, re2::RE2::ANCHOR_BOTH, nullptr, 0);
}

bool tern_regex_partial(const tern_regex *regex, const uint8_t *text, size_t count) {
    return regex->re.Match(piece(text, count), 0, count, re2::RE2::UNANCHORED, nullptr, 0);
}

bool tern_regex_captures(const tern_regex *regex, const uint8_t *text, size_t count, size_t start,
                         bool anchored, int groups, long *spans) {
    if (start > count || groups < 1) return false;
    re2::StringPiece whole = piece(text, count);
    re2::StringPiece fixed[16];
    std::vector<re2::StringPiece> many;
    re2::StringPiece *found = fixed;
    if (groups > 16) {
        many.resize(static_cast<size_t>(groups));
        found = many.data();
    }
    if (!regex->re.Match(whole, start, count,
                         anchored ? re2::RE2::ANCHOR_BOTH : re2::RE2::UNANCHORED, found, groups))
        return false;
    for (int i = 0; i < groups; i++) {
        bool present = found[i].data() != nullptr;
        spans[2 * i] = present ? found[i].data() - whole.data() : -1;
        spans[2 * i + 1] =
            present ? spans[2 * i] + static_cast<long>(found[i].size()) : -1;
    }
    return true;
}

int tern_regex_group_count(const tern_regex *regex) {
    return regex->re.NumberOfCapturingGroups();
}

int tern_regex_group_index(const tern_regex *regex, const char *name) {
    const auto &names = regex->re.NamedCapturingGroups();
    auto found = names.find(name);
    return found == names.end() ? -1 : found->second;
}

size_t tern_regex_group_name(const tern_regex *regex, int index, char *out, size_t capacity) {
    const auto &names = regex->re.CapturingGroupNames();
    auto found = names.find(index);
    if (found == names.end() || capacity == 0) return 0;
    size_t n = found->second.size() < capacity ? found->second.size() : capacity;
    memcpy(out, found->second.data(), n);
    return n;
}
