// SPDX-License-Identifier: Apache-2.0
// Diagnoses as JSON.

import Base
import Correlation
import Diagnosis
import Telemetry

extension DiagnosisAnswer {
    func write(into json: inout JSONWriter) {
        json.beginObject()
        writeStretch("window", window, into: &json)
        writeStretch("baseline", baseline, into: &json)
        json.key("suspects")
        json.beginArray()
        for (index, suspect) in suspects.enumerated() {
            suspect.write(rank: index + 1, into: &json)
        }
        json.endArray()
        json.key("coverage")
        json.beginObject()
        for stretch in Stretch.allCases {
            json.key("\(stretch)")
            json.beginObject()
            json.member("spanCount", spanCounts[stretch.rawValue])
            json.member("logLineCount", lineCounts[stretch.rawValue])
            json.member("logLinesWithTrace", linesWithTrace[stretch.rawValue])
            json.endObject()
        }
        json.member("resourceSeriesCount", seriesCount)
        json.key("traceShare")
        writeNumber(traceShare, into: &json)
        writeTexts("notes", notes, into: &json)
        json.endObject()
        json.key("incidentThreshold")
        writeNumber(Suspect.incidentThreshold, into: &json)
        json.key("elapsedSeconds")
        writeNumber(elapsedSeconds, into: &json)
        json.endObject()
    }
}

private func writeStretch(_ name: String, _ range: NanosRange, into json: inout JSONWriter) {
    json.key(name)
    json.beginObject()
    json.member("startTimeUnixNano", String(range.first.rawValue))
    json.member("endTimeUnixNano", String(range.last.rawValue))
    json.endObject()
}

private func writeNumber(_ value: Double?, into json: inout JSONWriter) {
    guard let value, value.isFinite else {
        json.null()
        return
    }
    json.raw(floatText(value))
}

extension Suspect {
    fileprivate func write(rank: Int, into json: inout JSONWriter) {
        json.beginObject()
        json.member("rank", rank)
        json.member("service", service)
        json.key("operation")
        operation.map { json.string($0) } ?? json.null()
        writeCode(code, into: &json)
        json.key("codeRange")
        if let codeRange {
            json.beginArray()
            writeCodeValue(codeRange.0, into: &json)
            writeCodeValue(codeRange.1, into: &json)
            json.endArray()
        } else {
            json.null()
        }
        json.key("resource")
        resource.map { json.string($0.rawValue) } ?? json.null()
        json.key("score")
        writeNumber((score * 1000).rounded() / 1000, into: &json)
        json.member("summary", summary)
        json.key("evidence")
        json.beginArray()
        for entry in evidence { entry.write(into: &json) }
        json.endArray()
        writeTexts("traceIDs", traceIDs.map(\.description), into: &json)
        json.endObject()
    }
}

extension Evidence {
    fileprivate func write(into json: inout JSONWriter) {
        json.beginObject()
        json.member("signal", signal.rawValue)
        json.member("text", text)
        json.member("query", query)
        json.member("language", language.rawValue)
        json.member("baselineQuery", baselineQuery)
        json.key("baseline")
        writeNumber(baseline, into: &json)
        json.key("window")
        writeNumber(window, into: &json)
        json.endObject()
    }
}

extension Coverage {
    func write(into json: inout JSONWriter) {
        json.beginObject()
        json.key("total")
        total.write(isTotal: true, into: &json)
        json.key("services")
        json.beginArray()
        for service in services { service.write(isTotal: false, into: &json) }
        json.endArray()
        json.member("logLinesWithoutService", linesWithoutService)
        json.member("seriesWithoutService", seriesWithoutService)
        json.key("unmatched")
        json.beginArray()
        for name in unmatched {
            json.beginObject()
            json.member("name", name.name)
            json.key("signals")
            json.beginArray()
            if name.hasSpans { json.string("traces") }
            if name.hasLines { json.string("logs") }
            if name.hasSeries { json.string("metrics") }
            json.endArray()
            json.key("proposedAlias")
            name.proposal.map { json.string($0) } ?? json.null()
            json.key("reason")
            name.reason.map { json.string($0) } ?? json.null()
            json.key("proposedIdentity")
            name.entry.map { json.string($0) } ?? json.null()
            json.endObject()
        }
        json.endArray()
        json.endObject()
    }
}

extension ServiceCoverage {
    fileprivate func write(isTotal: Bool, into json: inout JSONWriter) {
        func share(_ name: String, _ part: Int, _ all: Int) {
            json.key(name)
            writeNumber(all == 0 ? nil : Double(part) / Double(all), into: &json)
        }
        json.beginObject()
        if !isTotal { json.member("service", service) }
        json.member("spanCount", spans)
        share("spansWithCodeShare", spansWithCode, spans)
        json.member("logLineCount", lines)
        share("logLinesWithTraceShare", linesWithTrace, lines)
        json.member("seriesCount", series)
        json.endObject()
    }
}
