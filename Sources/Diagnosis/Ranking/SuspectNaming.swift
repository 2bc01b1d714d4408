// SPDX-License-Identifier: Apache-2.0
// From a candidate to the places that it names.

import Correlation
import Telemetry

/// A suspect before its evidence is gathered.
struct Naming {
    var suspect: Suspect
    /// What ranks it.
    var strength: Double
    /// What speaks for it, strongest first.
    var findings: [Finding]
}

/// Names services, operations, code and resources of candidates.
struct SuspectNaming {
    /// Places in one service beside the first.
    private static let otherPlaces = 2

    let observations: Observations

    /// Most suspicious first, scores not ascending: who is less suspect cannot be a surer incident. What
    /// chance may have made is left out before that, so that it holds nobody's score down.
    func names(_ candidates: [Candidate]) -> [Naming] {
        var result = candidates.flatMap { names($0) }
            .filter { $0.suspect.score >= Suspect.leastScore }
            .sorted { $0.strength > $1.strength }
        var highest = 1.0
        for index in result.indices {
            highest = min(highest, result[index].suspect.score)
            result[index].suspect.score = highest
        }
        return result
    }

    private func names(_ candidate: Candidate) -> [Naming] {
        guard let main = candidate.findings.first else { return [] }
        var result = [naming(candidate, main: main)]
        var places = [result[0].suspect.place]
        for finding in candidate.findings.dropFirst()
        where result.count <= SuspectNaming.otherPlaces {
            guard finding.group != "resource", finding.strength >= 0.3 * main.strength else {
                continue
            }
            let other = Candidate(
                service: candidate.service,
                strength: min(finding.strength, candidate.strength) * 0.95,
                certainty: min(finding.certainty, candidate.certainty) * 0.95,
                findings: [finding])
            let named = naming(other, main: finding)
            guard let place = named.suspect.place, !places.contains(place) else { continue }
            places.append(place)
            result.append(named)
        }
        return result
    }

    private func naming(_ candidate: Candidate, main: Finding) -> Naming {
        let findings = candidate.findings
        var suspect = Suspect(
            service: observations.services[candidate.service],
            operation: main.operation.flatMap {
                main.service == candidate.service && !isPeer(main)
                    ? observations.spans.operationNames[$0] : nil
            },
            score: Suspect.calibrated(candidate.certainty), summary: "")
        if let resource = resource(findings) { suspect.resource = resource }
        // The place of the strongest finding that has one, unless a resource is the reason.
        if case .resource = main.kind {
        } else {
            for finding in findings where finding.strength >= 0.5 * main.strength {
                let (code, range) = place(finding)
                if code == nil, range == nil { continue }
                suspect.code = code
                suspect.codeRange = range
                break
            }
        }
        return Naming(suspect: suspect, strength: candidate.strength, findings: findings)
    }

    /// Whether the finding was seen at a caller.
    private func isPeer(_ finding: Finding) -> Bool {
        guard case .gap = finding.kind, let row = finding.rows.first else { return false }
        return observations.spans.services[Int(row)] != finding.service
    }

    private func resource(_ findings: [Finding]) -> Resource? {
        guard let main = findings.first else { return nil }
        for finding in findings where finding.strength >= 0.3 * main.strength {
            if case .resource(let series) = finding.kind {
                return observations.series[series].resource
            }
        }
        switch main.kind {
        case .gap: return .network
        case .slow where main.spanKind == 3 || main.spanKind == 4: return .dependency
        default: return nil
        }
    }

    func place(_ finding: Finding) -> (CodeLocation?, (CodeLocation, CodeLocation)?) {
        let statements = observations.lines.statements
        func site(_ statement: Int32?) -> CodeLocation? {
            statement.flatMap { statements[Int($0)].site }
        }
        switch finding.kind {
        case .path(let path):
            let operation = finding.operation.map { observations.spans.operationNames[$0] } ?? ""
            let start = path.last == nil ? edge(operation, "start") : site(path.last)
            // The code that is no longer run through, else the code that now is.
            let next =
                path.vanished ?? path.usual.flatMap { $0 == path.appeared ? nil : $0 }
                ?? path.appeared
            let end = next == nil ? nil : site(next)
            let appeared = path.appeared.flatMap { statements[Int($0)].isError ? site($0) : nil }
            let code = appeared ?? site(path.last) ?? end
            if let start, let end { return (code, (start, end)) }
            if let start, next == nil { return (code, (start, edge(operation, "end"))) }
            return (code, nil)
        case .errorLines(let statement, _):
            return (site(statement), nil)
        case .errors, .slow, .gap, .calls:
            return (spanCode(finding), nil)
        case .resource, .version:
            return (nil, nil)
        }
    }

    private func edge(_ operation: String, _ what: String) -> CodeLocation {
        CodeLocation(file: nil, line: nil, function: operation, raw: "\(operation) \(what)")
    }

    /// The place that most of a finding's spans name.
    private func spanCode(_ finding: Finding) -> CodeLocation? {
        var counts: [Int32: Int] = [:]
        for row in finding.rows.prefix(1000) {
            let code = observations.spans.code[Int(row)]
            if code >= 0, observations.spans.services[Int(row)] == finding.service {
                counts[code, default: 0] += 1
            }
        }
        return counts.max { ($0.value, $1.key) < ($1.value, $0.key) }
            .map { observations.spans.codes[Int($0.key)] }
    }
}

extension Suspect {
    /// What distinguishes it from other suspects of its service.
    fileprivate var place: String? {
        if let codeRange { return codeRange.0.raw + "\u{0}" + codeRange.1.raw }
        return code?.raw ?? operation
    }
}
