// SPDX-License-Identifier: Apache-2.0
// Templates judged by a public table, where it is present.

import Base
import FoundationEssentials
import Telemetry
import Testing
import TestKit

@testable import LogQL

@Suite struct TemplateCorpusTests {
    private struct Format: Decodable {
        var target: String
        var rename: String?
        var template: String?
    }
    private struct Case: Decodable {
        var kind: String
        var name: String?
        var template: String?
        var formats: [Format]?
        var labels: [String: String]?
        var timestampNs: Int64?
        var line: String?
        var outLine: String?
        var outLabels: [String: String]?
        var input: String?
        var output: String?
        var count: Int64?
        var start: Int64?
        var end: Int64?
    }

    /// Runs one stage over a line and gives the line and its labels.
    private func run(_ stage: StageSyntax, _ item: Case) throws -> (String, [String: String]) {
        let pipeline = try Pipeline([stage], nowNanos: 0)
        var writer = ByteWriter()
        for (name, value) in (item.labels ?? [:]).sorted(by: { $0.key < $1.key }) {
            writer.lengthPrefixed(name)
            writer.lengthPrefixed(value)
        }
        let line = Array((item.line ?? "").utf8)
        return writer.bytes.withUnsafeBytes { labels in
            line.withUnsafeBytes { bytes in
                pipeline.state.begin(
                    line: bytes, nanos: item.timestampNs ?? 0, streamLabels: labels,
                    metadata: .nothing)
                _ = pipeline.keeps()
                var found: [String: String] = [:]
                for pair in pipeline.state.labels().pairs { found[pair.name] = pair.value }
                return (pipeline.state.line.text, found)
            }
        }
    }

    /// Nil when the case came out as known.
    private func judge(_ item: Case) throws -> String? {
        switch item.kind {
        case "line_format":
            let (line, labels) = try run(.lineFormat(item.template ?? ""), item)
            if line != item.outLine { return "line \(line), not \(item.outLine ?? "")" }
            if labels != item.outLabels { return "\(labels), not \(item.outLabels ?? [:])" }
        case "label_format":
            let formats = (item.formats ?? []).map { format in
                LabelFormat(
                    target: format.target,
                    source: format.rename.map { .rename($0) } ?? .template(format.template ?? ""))
            }
            let (_, labels) = try run(.labelFormat(formats), item)
            if labels != item.outLabels { return "\(labels), not \(item.outLabels ?? [:])" }
        case "decolorize":
            var item = item
            item.line = item.input
            let (line, _) = try run(.decolorize, item)
            if line != item.output { return line }
        case "trunc", "alignLeft", "alignRight", "substr":
            let function = try #require(TemplateFunction.named(item.kind))
            let numbers = item.kind == "substr" ? [item.start, item.end] : [item.count]
            let scope = TemplateScope(
                label: { _ in nil }, labels: { [] }, line: { "" }, lineNanos: 0, nowNanos: 0)
            let result = try function.call(
                numbers.map { .int($0 ?? 0) } + [.string(item.input ?? "")], scope)
            if result.text != item.output { return result.text }
        default: return nil
        }
        return nil
    }

    @Test(.enabled(if: Corpora.folder != nil)) func templatesDoWhatIsKnown() throws {
        let bytes = try #require(Corpora.file("logql/template-functions.jsonl"))
        var count = 0
        var problems: [String] = []
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
            let item = try JSONDecoder().decode(Case.self, from: Data(line.utf8))
            count += 1
            do {
                if let problem = try judge(item) {
                    problems.append("\(item.kind) \(item.name ?? item.input ?? ""): \(problem)")
                }
            } catch {
                problems.append("\(item.kind) \(item.name ?? ""): \(error)")
            }
        }
        print("template-functions.jsonl: \(count - problems.count) of \(count)")
        for problem in problems { print("  " + problem) }
        #expect(problems.isEmpty)
    }
}
