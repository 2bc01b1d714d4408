// SPDX-License-Identifier: Apache-2.0
// The document of a trace diff.

import Base
import Telemetry

extension TraceDiff {
    /// Writes a `trace-patch-v0` document. Source: grafana/tempo, pull requests 7468 and 7544, and the
    /// names of its fields.
    func writePatch(into json: inout JSONWriter) {
        var steps = PathSteps()
        let listed = (
            modified: modified.prefix { steps.admits(compare.path($0.row)) },
            added: added.prefix { steps.admits(compare.path($0)) },
            removed: removed.prefix { steps.admits(base.path($0)) }
        )
        json.beginObject()
        json.member("version", "trace-patch-v0")
        write("base", base, into: &json)
        write("compare", compare, into: &json)
        writeStats(truncated: steps.isExhausted, into: &json)
        json.key("modified")
        json.beginArray()
        for span in listed.modified { write(span, into: &json) }
        json.endArray()
        json.key("added")
        json.beginArray()
        for row in listed.added { compare.writeWhole(row, into: &json) }
        json.endArray()
        json.key("removed")
        json.beginArray()
        for row in listed.removed { base.writeWhole(row, into: &json) }
        json.endArray()
        writeWarnings(into: &json)
        json.endObject()
    }

    /// Counts the steps of listed paths against `maxPathSteps`.
    private struct PathSteps {
        private var count = 0
        private(set) var isExhausted = false

        mutating func admits(_ path: [Int]) -> Bool {
            count += path.count
            isExhausted = isExhausted || count > TraceDiff.maxPathSteps
            return !isExhausted
        }
    }

    private func write(_ name: String, _ tree: TraceTree, into json: inout JSONWriter) {
        json.key(name)
        json.beginObject()
        json.member("traceId", tree.spans.traceIDs.first?.description ?? "")
        json.member("spanCount", tree.rows.count)
        json.endObject()
    }

    private func writeStats(truncated: Bool, into json: inout JSONWriter) {
        let changes = modified.flatMap(\.changes)
        let attributes = changes.count {
            if case .attribute = $0.target { true } else { false }
        }
        json.key("stats")
        json.beginObject()
        json.member("spanCountA", base.rows.count)
        json.member("spanCountB", compare.rows.count)
        json.member("matchedSpans", matchedSpans)
        json.member("modifiedSpans", modified.count)
        json.member("addedSpans", added.count)
        json.member("removedSpans", removed.count)
        json.member("fieldChanges", changes.count - attributes)
        json.member("attributeChanges", attributes)
        json.member("eventChanges", eventChanges)
        json.member("truncated", truncated)
        json.endObject()
    }

    private func write(_ span: Modified, into json: inout JSONWriter) {
        json.beginObject()
        json.key("span")
        json.beginObject()
        compare.writeIdentity(span.row, into: &json)
        json.endObject()
        json.key("changes")
        json.beginArray()
        for change in span.changes { write(change, into: &json) }
        json.endArray()
        json.endObject()
    }

    private func write(_ change: Change, into json: inout JSONWriter) {
        json.beginObject()
        json.member(
            "op", change.before == nil ? "add" : change.after == nil ? "remove" : "modify")
        json.key("target")
        json.beginObject()
        switch change.target {
        case .durationNanos:
            json.member("type", "field")
            json.member("name", "duration_nanos")
        case .status:
            json.member("type", "field")
            json.member("name", "status")
        case .attribute(let key):
            json.member("type", "attribute")
            json.member("scope", "span")
            json.member("key", key)
        }
        json.endObject()
        json.key("before")
        change.before.map { writeValue($0, into: &json) } ?? json.null()
        json.key("after")
        change.after.map { writeValue($0, into: &json) } ?? json.null()
        json.endObject()
    }

    private func writeWarnings(into json: inout JSONWriter) {
        json.key("warnings")
        json.beginArray()
        for (name, tree) in [("base", base), ("compare", compare)] {
            if tree.invalidDurations > 0 {
                json.writeWarning(
                    "invalid_duration",
                    "\(tree.invalidDurations) spans of \(name) end before they start; "
                        + "their duration counts as 0")
            }
            if tree.duplicateIDs > 0 {
                json.writeWarning(
                    "duplicate_span_id",
                    "\(tree.duplicateIDs) spans of \(name) repeat the id of another")
            }
        }
        if !ambiguous.isEmpty {
            let first = ambiguous.map { "\($0.service) \($0.name)" }.min() ?? ""
            json.writeWarning(
                "ambiguous_span_match",
                "\(ambiguous.count) operations occur a different number of times below one "
                    + "parent and were matched in order of start, the first by name: \(first)")
        }
        json.endArray()
    }
}

extension TraceTree {
    fileprivate func writeIdentity(_ row: Int, into json: inout JSONWriter) {
        writePath("path", path(row), into: &json)
        json.member("service", spans.serviceName(row))
        json.member("name", spans.arena.text(spans.names[row]))
        json.member("kind", spanKindName(spans.kinds[row]))
    }

    /// A span that one side only has.
    fileprivate func writeWhole(_ row: Int, into json: inout JSONWriter) {
        let path = path(row)
        json.beginObject()
        json.key("target")
        json.beginObject()
        json.member("type", "span")
        writePath("path", path, into: &json)
        if path.count > 1 { writePath("parentPath", path.dropLast(), into: &json) }
        json.member("index", path[path.count - 1])
        json.endObject()
        json.key("span")
        json.beginObject()
        writeIdentity(row, into: &json)
        json.key("duration_nanos")
        json.int(durationNanos(row))
        json.member("status", status(row))
        json.endObject()
        json.endObject()
    }

    private func writePath(
        _ name: String, _ path: some Sequence<Int>, into json: inout JSONWriter
    ) {
        json.key(name)
        json.beginArray()
        for step in path { json.int(step) }
        json.endArray()
    }
}

extension JSONWriter {
    fileprivate mutating func writeWarning(_ code: String, _ message: String) {
        beginObject()
        member("code", code)
        member("message", message)
        endObject()
    }
}
