// SPDX-License-Identifier: Apache-2.0
// The server at a glance.

import Base

/// Numbers of a server's `/metrics` page by name, labels as written.
func metricsPage(_ text: String) -> [String: Double] {
    var out: [String: Double] = [:]
    for line in text.split(separator: "\n") where line.first != "#" && out.count < 100_000 {
        // A label's value may have blanks in it: the number comes after the last brace.
        let end =
            line.lastIndex(of: "}").map { line.index(after: $0) }
            ?? line.firstIndex(of: " ") ?? line.endIndex
        let words = line[end...].split(separator: " ")
        if let first = words.first, let value = Double(first) { out[String(line[..<end])] = value }
    }
    return out
}

/// What `\top` shows: made of two looks at the metrics, some seconds apart.
struct TopView: Sendable {
    var before: [String: Double]
    var now: [String: Double]
    var seconds: Double
    var queries: [JSONValue]
    /// Targets that are not up, with their error.
    var down: [(url: String, error: String)]
    var series: String
    var address: String

    private func rate(_ name: String) -> Double {
        guard let after = now[name], let earlier = before[name], seconds > 0 else { return 0 }
        return max(0, after - earlier) / seconds
    }

    private func sum(_ prefix: String) -> Double {
        now.filter { $0.key.hasPrefix(prefix) }.reduce(0) { $0 + $1.value }
    }

    func lines(_ terminal: TerminalTraits) -> [StyledText] {
        var out = [StyledText(address, .bold, terminal)]
        for signal in ["metrics", "logs", "traces"] {
            let label = "{signal=\"\(signal)\"}"
            var line = StyledText(padded(signal, 9), .cyan, terminal)
            line.add(padded(axisText(rate("tern_ingest_items_total" + label)) + "/s", 11))
            let refused = rate("tern_ingest_items_refused_total" + label)
            line.add("refused " + axisText(refused) + "/s", refused > 0 ? .red : .dim)
            line.pad(to: 38)
            line.add(
                "  parts \(axisText(now["tern_storage_parts" + label] ?? 0)), "
                    + axisText(now["tern_storage_part_bytes" + label] ?? 0) + "B")
            out.append(line)
        }
        var line = StyledText(padded("series", 9), .cyan, terminal)
        line.add(padded(series, 11))
        line.add("heads " + axisText(now["tern_storage_head_bytes"] ?? 0) + "B")
        line.add("  log " + axisText(now["tern_storage_log_bytes"] ?? 0) + "B")
        line.add("  resident " + axisText(now["process_resident_memory_bytes"] ?? 0) + "B")
        out.append(line)
        var work = StyledText(padded("queries", 9), .cyan, terminal)
        work.add("\(Int(clamping: now["tern_query_active"] ?? 0)) run, ")
        work.add("\(Int(clamping: now["tern_query_waiting"] ?? 0)) wait, ")
        work.add(axisText(now["tern_query_memory_bytes"] ?? 0) + "B held")
        work.add("  \(Int(clamping: now["tern_tails"] ?? 0)) tails")
        work.add("  requests " + axisText(requestRate) + "/s")
        work.add("  cpu " + axisText(rate("process_cpu_seconds_total") * 100) + " %")
        out.append(work)
        let faults = now["tern_storage_faults"] ?? 0
        if faults > 0 {
            out.append(
                StyledText("\(Int(clamping: faults)) pieces of damaged data", .red, terminal))
        }
        if now["tern_storage_writable"] == 0 {
            out.append(StyledText("writes are refused", .red, terminal))
        }
        for query in queries.prefix(8) {
            var line = StyledText("  ", .plain, terminal)
            line.add(padded(axisText(query["durationSeconds"].double) + "s", 8), .yellow)
            line.add(padded(query["family"].text, 8), .dim)
            line.add(query["query"].text)
            out.append(line)
        }
        out.append(
            StyledText(
                "targets down: \(down.count)", down.isEmpty ? .green : .red, terminal))
        for target in down.prefix(8) {
            out.append(StyledText("  \(target.url)  \(target.error)", .red, terminal))
        }
        return out
    }

    private var requestRate: Double {
        guard seconds > 0 else { return 0 }
        let earlier = before.filter { $0.key.hasPrefix("tern_http_requests_total") }
            .reduce(0) { $0 + $1.value }
        return max(0, sum("tern_http_requests_total") - earlier) / seconds
    }
}

/// A screen again, with what differs from the one before in reverse.
func marked(
    _ now: [String], over before: [String], _ terminal: TerminalTraits
) -> [StyledText] {
    now.enumerated().map { index, line in
        guard index < before.count, before[index] != line, !before.isEmpty else {
            return StyledText(line, .plain, terminal)
        }
        var out = StyledText(terminal)
        let old = before[index].split(separator: " ", omittingEmptySubsequences: false)
        for (place, word) in line.split(separator: " ", omittingEmptySubsequences: false)
            .enumerated()
        {
            if place > 0 { out.add(" ") }
            out.add(String(word), place < old.count && old[place] == word ? .plain : .reversed)
        }
        return out
    }
}
