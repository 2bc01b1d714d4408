// SPDX-License-Identifier: Apache-2.0
// targets/relabel_steps: what each relabelling rule of a pool makes of a label set.

import Base
import Ingest
import Scrape
import Telemetry

extension ScrapingEndpoints {
    /// Source: prometheus/prometheus `web/api/v1/api.go`, `model/relabel`.
    func relabelSteps(_ request: APIRequest) async throws -> APIResponse {
        guard let pool = request.nonEmpty("scrapePool") else {
            throw APIError(.badData, "no scrapePool parameter provided")
        }
        guard let text = request.nonEmpty("labels") else {
            throw APIError(.badData, "no labels parameter provided")
        }
        let discovered: Labels
        do { discovered = try Self.labels(json: text) } catch {
            throw APIError(
                .badData,
                "error parsing labels: \(error); a JSON object of strings is expected")
        }
        let configuration = scraping.configuration.scrapes.first { $0.jobName == pool }
        guard let configuration else {
            throw APIError(
                .badData, "error retrieving scrape config: unknown scrape pool \"\(pool)\"")
        }
        return prometheusSuccess { json in
            json.beginObject()
            json.key("steps")
            json.beginArray()
            // Nothing comes back once it is dropped.
            var labels: Labels? = discovered
            for rule in configuration.relabelRules {
                labels = labels.flatMap { relabel($0, [rule]) }
                json.beginObject()
                json.key("rule")
                write(rule.definition, into: &json)
                json.key("output")
                writeLabels(labels ?? .empty, into: &json)
                json.member("keep", labels != nil)
                json.endObject()
            }
            json.endArray()
            json.endObject()
        }
    }

    private static func labels(json text: String) throws(MalformedJSON) -> Labels {
        var text = text
        let result = text.withUTF8 { bytes -> Result<Labels, MalformedJSON> in
            do throws(MalformedJSON) {
                var builder = LabelsBuilder()
                var reader = JSONReader(UnsafeRawBufferPointer(bytes), maxDepth: 1)
                try reader.beginObject()
                while let name = try reader.nextKey() {
                    let value = try reader.string()
                    builder.set(name.string, value.string)
                }
                try reader.end()
                return .success(builder.labels())
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    private func write(_ rule: RelabelRule.Definition, into json: inout JSONWriter) {
        json.beginObject()
        if !rule.sourceLabels.isEmpty {
            json.key("sourceLabels")
            json.beginArray()
            for name in rule.sourceLabels { json.string(name) }
            json.endArray()
        }
        for (name, value) in [("separator", rule.separator), ("regex", rule.regex)]
        where !value.isEmpty { json.member(name, value) }
        if rule.modulus != 0 { json.member("modulus", Int(clamping: rule.modulus)) }
        for (name, value) in [
            ("targetLabel", rule.targetLabel), ("replacement", rule.replacement),
            ("action", rule.action.lowercased()),
        ] where !value.isEmpty { json.member(name, value) }
        json.endObject()
    }
}
