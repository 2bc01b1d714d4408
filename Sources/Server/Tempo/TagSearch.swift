// SPDX-License-Identifier: Apache-2.0
// Tempo's older search by tags, as a TraceQL query.

import Base

/// The parameters `tags` (logfmt pairs), `minDuration` and `maxDuration` (Go durations) of
/// `/api/search`.
///
/// A trace answers when for each pair it has a span, or a resource, whose attribute contains the
/// value in any case, and when the whole trace's duration lies inside both bounds. Source:
/// grafana/tempo `docs/…/api_docs`, "Search".
struct TagSearch {
    var tags: String?
    var minDuration: String?
    var maxDuration: String?
    /// The same as a client's message has it: pairs, and durations in nanoseconds where 0 means none.
    var pairs: [(key: String, value: String)] = []
    var minNanos: Int64 = 0
    var maxNanos: Int64 = 0
    /// Pairs in `tags` at most.
    static let maxPairs = 64

    var isEmpty: Bool {
        tags == nil && minDuration == nil && maxDuration == nil && pairs.isEmpty && minNanos == 0
            && maxNanos == 0
    }

    /// - Throws: `APIError` that names the parameter.
    func query() throws(APIError) -> String {
        var spansets: [String] = []
        for (key, value) in try allPairs() {
            spansets.append("{ \(Self.subject(key)) =~ \(Self.pattern(value)) }")
        }
        let least = try nanos("minDuration", minDuration) ?? (minNanos > 0 ? minNanos : nil)
        let most = try nanos("maxDuration", maxDuration) ?? (maxNanos > 0 ? maxNanos : nil)
        if let least, let most, most <= least {
            throw APIError(.badData, "invalid maxDuration: must be greater than minDuration")
        }
        if let least { spansets.append("{ traceDuration >= \(least)ns }") }
        if let most { spansets.append("{ traceDuration <= \(most)ns }") }
        return spansets.isEmpty ? "{}" : spansets.joined(separator: " && ")
    }

    private func nanos(_ name: String, _ text: String?) throws(APIError) -> Int64? {
        guard let text else { return nil }
        let value: Int64
        do throws(GoDurationError) {
            value = try parseGoDuration(text)
        } catch { throw APIError(.badData, "invalid \(name): \(error)") }
        guard value >= 0 else {
            throw APIError(.badData, "invalid \(name): must not be negative")
        }
        return value
    }

    /// The pairs of the message, then of the text: `key=value` and `key="quoted value"`, separated by
    /// spaces.
    private func allPairs() throws(APIError) -> [(key: String, value: String)] {
        var pairs = pairs
        guard pairs.count <= Self.maxPairs else {
            throw APIError(.badData, "invalid tags: more than \(Self.maxPairs) pairs")
        }
        var rest = Substring(tags ?? "")
        while true {
            rest = rest.drop { $0 == " " }
            if rest.isEmpty { return pairs }
            guard let equals = rest.firstIndex(of: "="), equals > rest.startIndex,
                !rest[..<equals].contains(where: { $0 == " " || $0 == "\"" })
            else {
                throw APIError(.badData, "invalid tags: expected key=value at \"\(rest)\"")
            }
            let key = String(rest[..<equals])
            rest = rest[rest.index(after: equals)...]
            var value = ""
            if rest.first == "\"" {
                rest.removeFirst()
                var isClosed = false
                while let character = rest.popFirst() {
                    if character == "\"" {
                        isClosed = true
                        break
                    }
                    value.append(character == "\\" ? rest.popFirst() ?? character : character)
                }
                guard isClosed else {
                    throw APIError(.badData, "invalid tags: the value of \(key) lacks a quote")
                }
            } else {
                value = String(rest.prefix { $0 != " " })
                rest = rest.dropFirst(value.count)
            }
            pairs.append((key, value))
            guard pairs.count <= Self.maxPairs else {
                throw APIError(.badData, "invalid tags: more than \(Self.maxPairs) pairs")
            }
        }
    }

    /// Names that older clients use for properties, else an attribute of span or resource.
    private static func subject(_ key: String) -> String {
        switch key {
        case "name": return "name"
        case "root.name": return "rootName"
        case "root.service.name": return "rootServiceName"
        default:
            let escaped = key.flatMap { $0 == "\"" || $0 == "\\" ? ["\\", $0] : [$0] }
            return ".\"" + String(escaped) + "\""
        }
    }

    /// A quoted pattern: the value anywhere, in any case.
    private static func pattern(_ value: String) -> String {
        var pattern = "(?is).*"
        for scalar in value.unicodeScalars {
            let isPlain =
                scalar.value >= 0x80 || scalar.properties.isAlphabetic
                || (0x30...0x39).contains(scalar.value) || scalar == "_"
            if !isPlain { pattern.unicodeScalars.append("\\") }
            pattern.unicodeScalars.append(scalar)
        }
        return quotedText(pattern + ".*")
    }
}
