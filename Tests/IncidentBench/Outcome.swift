// SPDX-License-Identifier: Apache-2.0
// What was right.

import Correlation
import Diagnosis

/// What became of one fault.
struct Outcome {
    var fault: Fault
    /// Place of the first suspect that is the culprit, from 1.
    var serviceRank: Int?
    /// Of the first whose code, or an end of whose code range, is a line of the label.
    var lineRank: Int?
    /// Of the first whose code range is that of the label.
    var rangeRank: Int?
    var seconds: Double
    var topScore: Double

    init(_ fault: Fault, _ answer: DiagnosisAnswer) {
        self.fault = fault
        let suspects = answer.suspects
        func rank(_ isRight: (Suspect) -> Bool) -> Int? {
            suspects.firstIndex { $0.service == fault.service && isRight($0) }.map { $0 + 1 }
        }
        serviceRank = rank { _ in true }
        lineRank = rank { suspect in
            fault.codeLines.contains { line in
                [suspect.code, suspect.codeRange?.0, suspect.codeRange?.1].contains {
                    $0?.raw == line
                }
            }
        }
        rangeRank = rank { suspect in
            guard let range = suspect.codeRange else { return false }
            return fault.codeLines == [range.0.raw, range.1.raw]
        }
        seconds = answer.elapsedSeconds
        topScore = suspects.first?.score ?? 0
    }

    func show(_ answer: DiagnosisAnswer, _ count: Int) {
        print(
            "\(fault.day) \(fault.id): service \(serviceRank.map(String.init) ?? "-"), line",
            lineRank.map(String.init) ?? "-", "range", rangeRank.map(String.init) ?? "-",
            "spans \(answer.spanCounts) lines \(answer.lineCounts) \(Int(seconds * 1000)) ms",
            fault.codeLines)
        for suspect in answer.suspects.prefix(count) {
            let place =
                suspect.codeRange.map { "\($0.0.raw) … \($0.1.raw)" } ?? suspect.code?.raw ?? ""
            print(
                "   \(score(suspect.score)) \(suspect.service) \(suspect.operation ?? "-")",
                suspect.resource?.rawValue ?? "", place, "|", suspect.summary)
        }
    }
}

/// What a minute without a fault showed.
struct Quiet {
    var fault: Fault
    var topScore: Double
    /// Whether the first suspect is the service of the fault beside it: it is seen already, or still.
    var isOfFault: Bool

    init(_ fault: Fault, _ answer: DiagnosisAnswer) {
        self.fault = fault
        topScore = answer.suspects.first?.score ?? 0
        isOfFault = answer.suspects.first?.service == fault.service
    }
}

extension [Outcome] {
    /// Tables in Markdown, by day and type of fault.
    func table(before: [Quiet], normal: [Quiet]) -> String {
        var lines = [
            "| day | faults | service @1 | @3 | @5 | code faults | line @1 | @3 | range @1 | @3 | slowest |",
            "|---|---|---|---|---|---|---|---|---|---|---|",
        ]
        var groups: [(String, [Outcome])] = []
        for day in Set(map(\.fault.day)).sorted() {
            groups.append((day, filter { $0.fault.day == day }))
        }
        for type in Set(map(\.fault.type)).sorted() {
            groups.append((type, filter { $0.fault.type == type }))
        }
        groups.append(("all", self))
        func share(_ some: [Outcome], _ rank: (Outcome) -> Int?, _ most: Int) -> String {
            if some.isEmpty { return "–" }
            let hits = some.count { rank($0).map { $0 <= most } ?? false }
            return "\(hits)/\(some.count)"
        }
        for (name, some) in groups {
            let code = some.filter { !$0.fault.codeLines.isEmpty }
            let slowest = some.map(\.seconds).max() ?? 0
            lines.append(
                "| \(name) | \(some.count) | \(share(some, \.serviceRank, 1)) "
                    + "| \(share(some, \.serviceRank, 3)) | \(share(some, \.serviceRank, 5)) "
                    + "| \(code.count) | \(share(code, \.lineRank, 1)) | \(share(code, \.lineRank, 3)) "
                    + "| \(share(code, \.rangeRank, 1)) | \(share(code, \.rangeRank, 3)) "
                    + "| \(Int(slowest * 1000)) ms |")
        }
        let threshold = Suspect.incidentThreshold
        let seen = count { $0.topScore >= threshold }
        lines.append("")
        for (name, quiet) in [("minutes before faults", before), ("the fault-free minute", normal)]
        {
            let calm = quiet.count { $0.topScore < threshold }
            let ofFault = quiet.count { $0.topScore >= threshold && $0.isOfFault }
            lines.append(
                "\(name) below \(threshold): \(calm)/\(quiet.count), and \(ofFault) of the others "
                    + "name the service of the fault beside them; scores "
                    + quiet.map(\.topScore).sorted().map(score).joined(separator: " "))
        }
        lines.append(
            "faults above: \(seen)/\(count), their scores "
                + map(\.topScore).sorted().map(score).joined(separator: " "))
        return lines.joined(separator: "\n")
    }
}
