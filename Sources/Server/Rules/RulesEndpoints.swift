// SPDX-License-Identifier: Apache-2.0
// rules, alerts and alertmanagers.

import Base
import Crypto
import HTTPTypes
import PromQL
import Rules
import Telemetry

/// Source: prometheus/prometheus `web/api/v1/api.go`.
struct RulesEndpoints: Sendable {
    let rules: RuleService

    func routes() -> [Route] {
        [
            Route([.get], "/api/v1/rules", .prometheus, list),
            Route([.get], "/api/v1/alerts", .prometheus, alerts),
            Route([.get], "/api/v1/alertmanagers", .prometheus, alertmanagers),
        ]
    }

    // MARK: rules

    /// Which groups and rules are asked for.
    private struct Selection {
        var names: Set<String>
        var groups: Set<String>
        var files: Set<String>
        /// A rule is in when it satisfies one of them.
        var matchers: [[LabelMatcher]] = []
        var wantsAlerts: Bool
        var wantsRecords: Bool
        /// Whose rules; others are nobody else's business.
        var tenant: Tenant
        var excludesAlerts = false
        /// 0 = all.
        var limit = 0
        var token: String?

        init(_ request: APIRequest) throws {
            tenant = request.tenant
            names = Set(request.parameters(named: "rule_name[]"))
            groups = Set(request.parameters(named: "rule_group[]"))
            files = Set(request.parameters(named: "file[]"))
            for text in request.parameters(named: "match[]") {
                do { matchers.append(try parseSelector(text)) } catch {
                    throw APIError(.badData, "invalid parameter \"match[]\": \(error)")
                }
            }
            let type = (request.parameter("type") ?? "").lowercased()
            guard ["", "alert", "record"].contains(type) else {
                throw APIError(
                    .badData, "invalid parameter \"type\": not supported value \(quotedText(type))")
            }
            wantsAlerts = type != "record"
            wantsRecords = type != "alert"
            if let text = request.nonEmpty("exclude_alerts") {
                guard let flag = goBoolean(text) else {
                    throw APIError(
                        .badData,
                        "invalid parameter \"exclude_alerts\": error converting exclude_alerts: "
                            + "strconv.ParseBool: parsing \(quotedText(text)): invalid syntax")
                }
                excludesAlerts = flag
            }
            try setPage(request)
        }

        private mutating func setPage(_ request: APIRequest) throws {
            token = request.nonEmpty("group_next_token")
            guard let text = request.nonEmpty("group_limit") else {
                if token != nil {
                    throw APIError(
                        .badData,
                        "invalid parameter \"group_limit\": group_limit needs to be present in "
                            + "order to paginate over the groups")
                }
                return
            }
            guard let number = Int(text) else {
                throw APIError(
                    .badData,
                    "invalid parameter \"group_limit\": group_limit needs to be a valid number: "
                        + "strconv.ParseInt: parsing \(quotedText(text)): invalid syntax")
            }
            guard number > 0 else {
                throw APIError(
                    .badData,
                    "invalid parameter \"group_limit\": group_limit needs to be greater than 0")
            }
            limit = number
        }

        func rules(of group: RuleGroup) -> [Rule] {
            guard group.definition.tenant == tenant,
                groups.isEmpty || groups.contains(group.definition.name),
                files.isEmpty || files.contains(group.definition.shownFile)
            else { return [] }
            // Who brings the rules of a Prometheus finds those, and no others, until there is a
            // service to watch.
            if group.definition.file == WatchRules.file, groups.isEmpty, files.isEmpty,
                !group.hasWritten
            {
                return []
            }
            return group.rules.filter { rule in
                guard rule.definition.isAlert ? wantsAlerts : wantsRecords,
                    names.isEmpty || names.contains(rule.name)
                else { return false }
                if matchers.isEmpty { return true }
                // What a template makes of a label is not known here.
                let labels = Labels(
                    rule.labels.filter { !$0.value.contains("{{") }.map { ($0.name, $0.value) })
                return matchers.contains { $0.match(labels) }
            }
        }
    }

    func list(_ request: APIRequest) async throws -> APIResponse {
        let selection = try Selection(request)
        var page: [(group: RuleGroup, rules: [Rule])] = []
        var next: String?
        var isBefore = selection.token != nil
        for group in rules.ruler.groups {
            if isBefore {
                guard Self.token(of: group) == selection.token else { continue }
                isBefore = false
            }
            let found = selection.rules(of: group)
            if found.isEmpty { continue }
            if selection.limit > 0, page.count == selection.limit {
                next = Self.token(of: group)
                break
            }
            page.append((group, found))
        }
        if isBefore, let token = selection.token {
            throw APIError(
                .badData, "invalid group_next_token '\(token)'. were rule groups changed?")
        }
        return prometheusSuccess { json in
            json.beginObject()
            json.key("groups")
            json.beginArray()
            for (group, rules) in page {
                write(group, rules, selection.excludesAlerts, into: &json)
            }
            json.endArray()
            if let next { json.member("groupNextToken", next) }
            json.endObject()
        }
    }

    private static func token(of group: RuleGroup) -> String {
        SHA256.hash(data: Array(group.definition.key.utf8)).map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
    }

    private func write(
        _ group: RuleGroup, _ rules: [Rule], _ excludesAlerts: Bool, into json: inout JSONWriter
    ) {
        let status = group.status
        json.beginObject()
        json.member("name", group.definition.name)
        json.member("file", group.definition.shownFile)
        json.key("rules")
        json.beginArray()
        for rule in rules { write(rule, excludesAlerts, into: &json) }
        json.endArray()
        json.member("interval", seconds: Double(group.definition.intervalMillis) / 1000)
        json.member("limit", group.definition.limit)
        json.member("evaluationTime", seconds: status.durationSeconds)
        json.member("lastEvaluation", time: status.lastEvaluationNanos)
        // Ours: what the expressions are in, where it is not PromQL.
        if group.definition.language != .promql {
            json.member("language", group.definition.language.rawValue)
        }
        json.endObject()
    }

    private func write(_ rule: Rule, _ excludesAlerts: Bool, into json: inout JSONWriter) {
        let status = rule.status
        let definition = rule.definition
        json.beginObject()
        if definition.isAlert { json.member("state", rule.alertState.rawValue) }
        json.member("name", rule.name)
        json.member("query", rule.query)
        if definition.isAlert {
            json.member("duration", seconds: Double(definition.holdMillis) / 1000)
            json.member("keepFiringFor", seconds: Double(definition.keepFiringMillis) / 1000)
            json.member("labels", texts: rule.labels)
            json.member("annotations", texts: definition.annotations)
            json.key("alerts")
            if excludesAlerts {
                json.null()
            } else {
                json.beginArray()
                for alert in rule.activeAlerts { write(alert, into: &json) }
                json.endArray()
            }
        } else if !rule.labels.isEmpty {
            json.member("labels", texts: rule.labels)
        }
        json.member("health", status.health.rawValue)
        if !status.lastError.isEmpty { json.member("lastError", status.lastError) }
        json.member("evaluationTime", seconds: status.durationSeconds)
        json.member("lastEvaluation", time: status.lastEvaluationNanos)
        json.member("type", definition.isAlert ? "alerting" : "recording")
        json.endObject()
    }

    // MARK: alerts

    func alerts(_ request: APIRequest) async throws -> APIResponse {
        let groups = rules.ruler.groups.filter { $0.definition.tenant == request.tenant }
        let all = groups.flatMap(\.rules).flatMap(\.activeAlerts)
        return prometheusSuccess { json in
            json.beginObject()
            json.key("alerts")
            json.beginArray()
            for alert in all { write(alert, into: &json) }
            json.endArray()
            json.endObject()
        }
    }

    private func write(_ alert: Alert, into json: inout JSONWriter) {
        json.beginObject()
        json.key("labels")
        writeLabels(alert.labels, into: &json)
        json.member("annotations", texts: alert.allAnnotations)
        json.member("state", alert.state.rawValue)
        json.member("activeAt", time: alert.activeAtNanos)
        if let since = alert.keepFiringSinceNanos { json.member("keepFiringSince", time: since) }
        json.member("value", shortestScientificText(alert.value))
        json.endObject()
    }

    func alertmanagers(_ request: APIRequest) async throws -> APIResponse {
        let notifier = rules.notifier
        return prometheusSuccess { json in
            json.beginObject()
            for (key, urls) in [
                ("activeAlertmanagers", notifier.activeURLs),
                ("droppedAlertmanagers", notifier.droppedURLs),
            ] {
                json.key(key)
                json.beginArray()
                for url in urls {
                    json.beginObject()
                    json.member("url", url)
                    json.endObject()
                }
                json.endArray()
            }
            json.endObject()
        }
    }
}

/// The shortest digits that stand for the number, with an exponent: `1e+00`, `2.5e-03`. Source: Go's
/// `strconv.FormatFloat` with format `e` and precision -1.
func shortestScientificText(_ value: Double) -> String {
    guard value.isFinite else { return floatPlainText(value) }
    let plain = floatPlainText(value.magnitude)
    let digits = plain.filter { $0 != "." }
    let significant = digits.drop { $0 == "0" }
    let sign = value.sign == .minus ? "-" : ""
    guard let first = significant.first else { return sign + "0e+00" }
    let whole = plain.prefix { $0 != "." }.count
    let exponent = whole - 1 - (digits.count - significant.count)
    var rest = significant.dropFirst()
    while rest.last == "0" { rest.removeLast() }
    let magnitude = exponent.magnitude
    return sign + String(first) + (rest.isEmpty ? "" : "." + rest) + "e"
        + (exponent < 0 ? "-" : "+") + (magnitude < 10 ? "0" : "") + "\(magnitude)"
}

extension JSONWriter {
    fileprivate mutating func member(_ name: String, seconds: Double) {
        key(name)
        var text: [UInt8] = []
        appendFloatPlain(seconds, into: &text)
        raw(text)
    }

    /// - Parameter nanos: since the epoch; 0 = never, which Go writes as its zero time.
    fileprivate mutating func member(_ name: String, time nanos: Int64) {
        member(name, nanos == 0 ? "0001-01-01T00:00:00Z" : rfc3339Text(nanos: nanos))
    }

    fileprivate mutating func member(_ name: String, texts: [RuleText]) {
        key(name)
        beginObject()
        for text in texts { member(text.name, text.value) }
        endObject()
    }
}
