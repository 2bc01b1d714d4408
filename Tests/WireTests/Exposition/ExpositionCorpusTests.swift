// SPDX-License-Identifier: Apache-2.0
// The scrape parser against what Prometheus' parser delivers.

import Base
import Telemetry
import TestKit
import Testing

@testable import Wire

@Suite struct ExpositionCorpusTests {
    private func bytes(_ row: CorpusJSON) -> [UInt8] {
        if let text = row["input"]?.string { return Array(text.utf8) }
        var result: [UInt8] = []
        var digits = Array((row["inputHex"]?.string ?? "").utf8)[...]
        while digits.count >= 2 {
            let pair = (digits.popFirst(), digits.popFirst())
            if let high = pair.0.flatMap(hexDigit), let low = pair.1.flatMap(hexDigit) {
                result.append(high << 4 | low)
            }
        }
        return result
    }

    private func format(_ row: CorpusJSON) -> ExpositionFormat {
        row["format"]?.string == "openmetrics" ? .openMetrics : .text
    }

    @Test func errorsHaveTheReferencesTexts() throws {
        guard let file = Corpora.file("exposition/errors.jsonl") else { return }
        var failures: [String] = []
        for row in try CorpusJSON.lines(file) {
            let input = bytes(row)
            var message: String?
            input.withUnsafeBytes { raw in
                do throws(ExpositionError) {
                    _ = try Exposition.decode(raw, format(row), scrapeMillis: 0)
                } catch {
                    message = error.message
                }
            }
            // The reference's parser reports the end of its input as an error.
            let expected = row["error"]?.string == "EOF" ? nil : row["error"]?.string
            let atEOF = row["ok"]?.bool == true && message == "data does not end with # EOF"
            if message != expected, !atEOF {
                failures.append(
                    "\(String(decoding: input, as: UTF8.self)): want \(expected ?? "no error"), "
                        + "got \(message ?? "no error")")
            }
        }
        #expect(failures.isEmpty, "\(failures.joined(separator: "\n"))")
    }

    /// What the parser delivers, written like the corpus' entries.
    private func entries(_ input: [UInt8], _ format: ExpositionFormat) throws -> [String] {
        var result: [String] = []
        try input.withUnsafeBytes { raw in
            var parser = ExpositionParser(raw, format)
            var labels = LabelSetBuffer()
            while let entry = try parser.next() {
                switch entry {
                case .comment:
                    result.append("comment \(String(decoding: parser.comment, as: UTF8.self))")
                case .help, .type, .unit:
                    let type = parser.type
                    parser.withMetadata { family, text in
                        let text =
                            entry == .type ? type.text : String(decoding: text, as: UTF8.self)
                        result.append(
                            "\(entry) \(String(decoding: family, as: UTF8.self)) \(text)")
                    }
                case .series:
                    if parser.isCreated { continue }
                    labels.reset()
                    parser.appendLabels(to: &labels)
                    let isUnique = labels.seal()
                    #expect(isUnique)
                    var line = String(decoding: parser.seriesText, as: UTF8.self)
                    line += " \(pairs(labels.bytes)) \(number(parser.value))"
                    line += " ts=\(parser.timestampMillis.map { "\($0)" } ?? "-")"
                    line += " st=\(parser.startMillis())"
                    if parser.hasExemplar {
                        labels.reset()
                        parser.appendExemplarLabels(to: &labels)
                        let isUnique = labels.seal()
                        #expect(isUnique)
                        line += " ex=\(pairs(labels.bytes)) \(parser.exemplarValue)"
                        line += " \(parser.exemplarMillis.map { "\($0)" } ?? "-")"
                    }
                    result.append(line)
                }
            }
        }
        return result
    }

    /// A number as text; the corpus does not tell NaNs apart.
    private func number(_ value: Double?) -> String {
        value.map { $0.isNaN ? "nan" : "\($0)" } ?? "0.0"
    }

    private func pairs(_ bytes: UnsafeRawBufferPointer) -> [String] {
        Labels(canonical: Array(bytes)).pairs.map { "\($0.name)=\($0.value)" }.sorted()
    }

    private func expected(_ entry: CorpusJSON) -> String {
        let series = entry["series"]?.string ?? ""
        if let help = entry["help"]?.string { return "help \(series) \(help)" }
        if let type = entry["type"]?.string { return "type \(series) \(type)" }
        if let unit = entry["unit"]?.string { return "unit \(series) \(unit)" }
        if let comment = entry["comment"]?.string { return "comment \(comment)" }
        var line = series
        line += " \(entry["labels"]?.labels ?? []) \(number(entry["value"]?.double))"
        line += " ts=\(entry["timestampMs"]?.int.map { "\($0)" } ?? "-")"
        line += " st=\(entry["startMs"]?.int ?? 0)"
        for exemplar in entry["exemplars"]?.array ?? [] {
            line += " ex=\(exemplar["labels"]?.labels ?? []) \(exemplar["value"]?.double ?? 0)"
            line += " \(exemplar["timestampMs"]?.int.map { "\($0)" } ?? "-")"
        }
        return line
    }

    @Test(arguments: [
        "entries-prom", "entries-prom-utf8", "entries-openmetrics", "entries-openmetrics-utf8",
    ])
    func entriesAreThoseOfTheReference(name: String) throws {
        guard let file = Corpora.file("exposition/\(name).json") else { return }
        let root = try CorpusJSON(parsing: file)
        let got = try entries(bytes(root), format(root))
        let want = (root["entries"]?.array ?? []).map(expected)
        #expect(got.count == want.count)
        for (a, b) in zip(got, want) where a != b { Issue.record("got  \(a)\nwant \(b)") }
    }

    /// Sample lines of a well-formed text exposition, counted without the parser.
    private func sampleLines(_ text: [UInt8]) -> Int {
        text.split(separator: UInt8(ascii: "\n")).filter { line in
            line.contains { $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t") }
                && line.first != UInt8(ascii: "#")
        }.count
    }

    @Test func realExpositionsLoseNoSample() throws {
        var total = 0
        for name in Corpora.names(under: "expositions") where name.hasSuffix(".txt") {
            guard let text = Corpora.file("expositions/" + name) else { continue }
            do {
                let result = try text.withUnsafeBytes {
                    try Exposition.decode($0, .text, scrapeMillis: 1000)
                }
                let wanted = sampleLines(text)
                #expect(result.batch.sampleSeries.count == wanted, "\(name)")
                total += wanted
                #expect(
                    result.batch.series.allSatisfy { ref in
                        result.batch.arena.withSlice(ref.slice) {
                            isCanonicalLabels($0) && hash64($0) == ref.hash
                        }
                    }, "\(name)")
            } catch {
                Issue.record("\(name): \(error)")
            }
        }
        if Corpora.folder != nil { #expect(total > 35_000) }
    }

    @Test(arguments: [
        ("alltypes.237mfs.prom.txt", false), ("alltypes.237mfs.nometa.prom.txt", false),
        ("alltypes.5mfs.om.txt", true), ("1histogram.om.txt", true),
    ])
    func largeExpositionsLoseNoSample(name: String, isOpenMetrics: Bool) throws {
        guard let text = Corpora.file("exposition/" + name) else { return }
        var options = Exposition.Options()
        options.keepsCreatedSeries = true
        let result = try text.withUnsafeBytes {
            try Exposition.decode(
                $0, isOpenMetrics ? .openMetrics : .text, scrapeMillis: 1000, options: options)
        }
        #expect(result.batch.sampleSeries.count == sampleLines(text))
        #expect(result.isExplicit.count == result.batch.sampleSeries.count)
    }
}
