// SPDX-License-Identifier: Apache-2.0
// From findings to sentences, queries and numbers.

import Correlation
import Telemetry

/// Gathers the evidence of suspects.
struct EvidenceBuilder {
    /// Most entries of one suspect.
    private static let limit = 6
    private static let traceLimit = 5

    let observations: Observations
    let request: DiagnosisRequest
    let runner: EvidenceRunner

    init(_ observations: Observations, _ request: DiagnosisRequest, _ runner: EvidenceRunner) {
        self.observations = observations
        self.request = request
        self.runner = runner
    }

    /// The suspect with summary, evidence and traces.
    ///
    /// - Throws: `QueryInterruption`, what the stores throw.
    func complete(_ naming: Naming) throws -> Suspect {
        var suspect = naming.suspect
        guard let main = naming.findings.first else { return suspect }
        let words = FindingWords(observations)
        suspect.summary = words.summary(main, suspect)
        var seen: Set<String> = []
        for finding in naming.findings where finding.strength >= 0.2 * main.strength {
            for evidence in try self.evidence(finding) where seen.insert(evidence.query).inserted {
                if suspect.evidence.count < EvidenceBuilder.limit {
                    suspect.evidence.append(evidence)
                }
            }
            if suspect.evidence.count >= EvidenceBuilder.limit { break }
        }
        suspect.traceIDs = traces(naming.findings)
        return suspect
    }

    private func traces(_ findings: [Finding]) -> [TraceID] {
        var result: [TraceID] = []
        for finding in findings where !finding.rows.isEmpty {
            for row in finding.rows {
                let id = observations.spans.traceIDs[Int(observations.spans.traces[Int(row)])]
                if !result.contains(id) { result.append(id) }
                if result.count >= EvidenceBuilder.traceLimit { return result }
            }
        }
        return result
    }

    private func evidence(_ finding: Finding) throws -> [Evidence] {
        switch finding.kind {
        case .path(let path):
            var result: [Evidence] = []
            for statement in [
                path.isVanished ? path.vanished : path.appeared,
                path.isVanished ? path.appeared : path.vanished, path.last,
            ] {
                if let statement { result.append(try lines(statement)) }
            }
            if result.isEmpty || path.last == nil { result.append(try spans(finding, nil)) }
            return result
        case .errorLines(let statement, _): return [try lines(statement)]
        case .errors: return [try failed(finding)]
        case .slow(let slowness), .gap(let slowness): return [try spans(finding, slowness)]
        case .calls(let operation, let service, _, _): return [try calls(operation, service)]
        case .resource(let series): return [try samples(observations.series[series])]
        case .version(let number): return [try version(observations.versions[number])]
        }
    }

    // MARK: - Logs

    private func lines(_ number: Int32) throws -> Evidence {
        let statement = observations.lines.statements[Int(number)]
        let matchers = try selector(statement)
        let selection = "{" + matchers.map(\.description).joined(separator: ", ") + "}"
        func query(_ range: NanosRange) -> String {
            "sum(count_over_time(\(selection) |= \(quoted(statement.literal)) "
                + "[\(durationText(EvidenceRunner.rangeMillis(range)))]))"
        }
        let window = try runner.lines(matchers, statement.literal, request.window)
        let baseline = try runner.lines(matchers, statement.literal, request.baseline)
        let name = statement.site?.raw ?? statement.literal
        return Evidence(
            signal: .logs,
            text:
                "\(numberText(window)) lines of \(name) in the window, \(numberText(baseline)) in "
                + "the baseline",
            query: query(request.window), language: .logql, baselineQuery: query(request.baseline),
            baseline: baseline, window: window)
    }

    /// Labels of the stream that name the service, not the instance; of a service that the configuration
    /// says something of, its selector or all values that the label has on its streams.
    private func selector(_ statement: LogStatement) throws -> [LabelMatcher] {
        let labels = statement.stream
        let index = runner.sources.index
        if let match = index.override(ofStream: labels) { return match.matchers }
        let service = index.serviceName(ofStream: labels)
        for name in [
            "service_name", "service", "app_kubernetes_io_name", "k8s_deployment_name", "app",
            "application", "job", "container", "container_name", "pod",
        ] {
            // A container is often called the same in all pods.
            func isNamed(by value: String) -> Bool {
                index.serviceName(ofStream: Labels([(name, value)])) == service
            }
            guard let value = labels[name], isNamed(by: value) else { continue }
            let others = observations.overriddenStreams[service ?? ""] ?? []
            let values = Set(others.compactMap { $0[name] }).filter(isNamed).union([value])
            if values.count == 1 { return [LabelMatcher(equal: name, value)] }
            return [try LabelMatcher(name, .matches, regexAlternatives(values.sorted()))]
        }
        return labels.pairs.map { LabelMatcher(equal: $0.name, $0.value) }
    }

    // MARK: - Traces

    private func conditions(_ service: String, _ operation: String) -> [SpanCondition] {
        [
            condition(service),
            SpanCondition(.intrinsic(.name), .equal, .string(operation)),
        ]
    }

    /// Spans of a service, by the names that they carry.
    private func condition(_ service: String) -> SpanCondition {
        let subject = SpanCondition.Subject.attribute(.resource, "service.name")
        let number = observations.services.number(of: service)
        let names = number.flatMap { observations.spanNames[$0] }?.sorted() ?? [service]
        return names.count > 1
            ? SpanCondition(subject, .matches, .string(regexAlternatives(names)))
            : SpanCondition(subject, .equal, .string(names[0]))
    }

    private func query(_ conditions: [SpanCondition]) -> String {
        "{ " + conditions.map(TraceQLText.condition).joined(separator: " && ") + " }"
    }

    private func counted(
        _ conditions: [SpanCondition], _ text: (_ window: String, _ baseline: String) -> String
    ) throws -> Evidence {
        let query = query(conditions) + " | count_over_time()"
        let window = try runner.spans(conditions, request.window)
        let baseline = try runner.spans(conditions, request.baseline)
        return Evidence(
            signal: .traces, text: text(numberText(window), numberText(baseline)), query: query,
            language: .traceql, baselineQuery: query, baseline: baseline, window: window)
    }

    private func spanNames(_ finding: Finding) -> (service: String, operation: String) {
        let spans = observations.spans
        let service = finding.rows.first.map { spans.services[Int($0)] } ?? finding.service
        return (
            observations.services[service],
            finding.operation.map { spans.operationNames[$0] } ?? ""
        )
    }

    private func spans(_ finding: Finding, _ slowness: Finding.Slowness?) throws -> Evidence {
        let (service, operation) = spanNames(finding)
        var conditions = conditions(service, operation)
        guard let slowness else {
            return try counted(conditions) {
                "\($0) spans \(operation) of \(service) in the window, \($1) in the baseline"
            }
        }
        // Own times cannot be asked for, so whole durations are: those that were unusual before.
        let threshold = durationThreshold(finding, slowness)
        conditions.append(SpanCondition(.intrinsic(.kind), .equal, .int(Int64(finding.spanKind))))
        conditions.append(SpanCondition(.intrinsic(.duration), .greater, .int(threshold)))
        return try counted(conditions) {
            "\($0) spans \(operation) of \(service) over \(TraceQLText.duration(threshold)) in the "
                + "window, \($1) in the baseline"
        }
    }

    /// Whole milliseconds.
    private func durationThreshold(_ finding: Finding, _ slowness: Finding.Slowness) -> Int64 {
        let spans = observations.spans
        let group = finding.rows.first.map { (spans.services[Int($0)], spans.operations[Int($0)]) }
        var past: [Double] = []
        for row in 0..<spans.count
        where spans.stretches[row] == .baseline && spans.kinds[row] == finding.spanKind {
            if let group, spans.services[row] == group.0, spans.operations[row] == group.1 {
                past.append(Double(spans.duration(row)))
            }
        }
        past.sort()
        let usual = max(quantile(past, 0.95), Double(slowness.thresholdNanos))
        let millis = Int64((min(usual, 9e15) / 1e6).rounded(.up))
        return max(1, millis) * 1_000_000
    }

    private func failed(_ finding: Finding) throws -> Evidence {
        let (service, operation) = spanNames(finding)
        let failed =
            conditions(service, operation) + [SpanCondition(.intrinsic(.status), .equal, .int(2))]
        return try counted(failed) {
            "\($0) spans \(operation) of \(service) failed in the window, \($1) in the baseline"
        }
    }

    private func calls(_ operation: Int32, _ service: Int32) throws -> Evidence {
        let name = observations.spans.operationNames[operation]
        let callee = observations.services[service]
        return try counted(conditions(callee, name)) {
            "\($0) spans \(name) of \(callee) in the window, \($1) in the baseline"
        }
    }

    private func version(_ new: NewVersion) throws -> Evidence {
        let service = observations.services[new.service]
        let conditions = [
            condition(service),
            SpanCondition(
                .attribute(.resource, "service.version"), .equal, .string(new.version)),
        ]
        return try counted(conditions) {
            "\($0) spans of version \(new.version) of \(service) in the window, \($1) in the baseline"
        }
    }

    // MARK: - Metrics

    private func samples(_ series: ResourceSeries) throws -> Evidence {
        let name = series.labels["__name__"] ?? ""
        let selection =
            name + "{"
            + series.labels.pairs.filter { $0.name != "__name__" }
            .map { LabelMatcher(equal: $0.name, $0.value).description }.joined(separator: ", ")
            + "}"
        // Scraped values tell of the time before them.
        let late = SignalReader.scrapeNanos / 1_000_000
        func query(_ range: NanosRange) -> String {
            let length = durationText(EvidenceRunner.rangeMillis(range) + late)
            let vector = "\(selection)[\(length)] offset -\(durationText(late))"
            return series.isCounter
                ? "max_over_time(\(vector)) - min_over_time(\(vector))" : "max_over_time(\(vector))"
        }
        let isCounter = series.isCounter
        let window = try runner.samples(series.labels, isCounter: isCounter, request.window)
        let baseline = try runner.samples(series.labels, isCounter: isCounter, request.baseline)
        let what = isCounter ? "grew by" : "reached"
        return Evidence(
            signal: .metrics,
            text: "\(selection) \(what) \(window.map(numberText) ?? "unknown") in the window, "
                + "\(baseline.map(numberText) ?? "unknown") in the baseline",
            query: query(request.window), language: .promql, baselineQuery: query(request.baseline),
            baseline: baseline, window: window)
    }
}
