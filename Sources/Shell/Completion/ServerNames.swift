// SPDX-License-Identifier: Apache-2.0
// Asking the server for names.

import Base
import Synchronization

/// The prompt's settings, for those who ask on its behalf from other tasks.
final class CurrentOptions: Sendable {
    private let options: Mutex<ShellOptions>

    init(_ options: ShellOptions) { self.options = Mutex(options) }
    var value: ShellOptions { options.withLock { $0 } }
    func set(_ value: ShellOptions) { options.withLock { $0 = value } }
}

/// Fetches the names of a completion source.
struct ServerNames: Sendable {
    let commands: ShellCommands
    /// Values of a label at most.
    private static let mostValues = 20_000
    private static let mostSeries = 2000

    func names(_ source: CompletionSource) async throws -> [CompletionItem] {
        switch source {
        case .metricNames: return try await metricNames()
        case .labelNames(let selector):
            return try await list("/api/v1/labels", match(selector))
        case .labelValues(let label, let selector):
            return try await list(
                "/api/v1/label/" + encoded(label) + "/values",
                match(selector) + [("limit", String(Self.mostValues))])
        case .streamLabels(let selector):
            return try await list("/loki/api/v1/labels", query(selector), nanos: true)
        case .streamValues(let label, let selector):
            return try await list(
                "/loki/api/v1/label/" + encoded(label) + "/values", query(selector), nanos: true)
        case .logFields(let query): return try await logFields(query)
        case .attributes(let scope): return try await attributes(scope)
        case .attributeValues(let name): return try await attributeValues(name)
        case .services:
            let answer = try await get("/api/v1/correlate/services", commands.boundParameters)
            return answer["data"].items.map {
                CompletionItem(text: $0["name"].text, detail: $0["spanCount"].text + " spans")
            }
        case .words, .fixed: return []
        }
    }

    private func get(_ path: String, _ parameters: [(String, String)]) async throws -> JSONValue {
        try await commands.options.client.get(path, parameters)
    }

    private func list(
        _ path: String, _ parameters: [(String, String)], nanos: Bool = false
    ) async throws -> [CompletionItem] {
        let times = nanos ? self.nanos : commands.boundParameters
        let answer = try await get(path, parameters + times)
        return answer["data"].items.map { CompletionItem(text: $0.text) }
    }

    private var nanos: [(String, String)] {
        let (start, end) = commands.bounds
        return [("start", String(start)), ("end", String(end))]
    }

    private func match(_ selector: String) -> [(String, String)] {
        selector.isEmpty ? [] : [("match[]", selector)]
    }

    private func query(_ selector: String) -> [(String, String)] {
        selector.isEmpty ? [] : [("query", selector)]
    }

    private func metricNames() async throws -> [CompletionItem] {
        async let metadata = get("/api/v1/metadata", [("limit_per_metric", "1")])
        let names = try await get("/api/v1/label/__name__/values", commands.boundParameters)
        var byName: [String: JSONValue] = [:]
        for member in try await metadata["data"].members { byName[member.name] = member.value[0] }
        return names["data"].items.map { name in
            let entry = metadataEntry(of: name.text, byName)
            return CompletionItem(
                text: name.text, detail: entry["type"].text, help: entry["help"].text)
        }
    }

    private func logFields(_ query: String) async throws -> [CompletionItem] {
        guard !query.isEmpty else { return [] }
        let answer = try await get(
            "/loki/api/v1/detected_fields", [("query", query), ("limit", "500")] + nanos)
        return answer["fields"].items.map {
            CompletionItem(text: $0["label"].text, detail: $0["type"].text)
        }
    }

    private func attributes(_ scope: String) async throws -> [CompletionItem] {
        let answer = try await get(
            "/api/v2/search/tags", scope.isEmpty ? [] : [("scope", scope)])
        return answer["scopes"].items.filter { $0["name"].text != "intrinsic" }
            .flatMap { $0["tags"].items.map { CompletionItem(text: $0.text) } }
    }

    private func attributeValues(_ name: String) async throws -> [CompletionItem] {
        let (start, end) = commands.bounds
        let answer = try await get(
            "/api/v2/search/tag/" + encoded(name) + "/values",
            [
                ("start", String(start / 1_000_000_000)),
                ("end", String(end / 1_000_000_000 + 1)),
            ])
        return answer["tagValues"].items.prefix(Self.mostValues).map {
            CompletionItem(text: $0["value"].text, detail: $0["type"].text)
        }
    }
}
