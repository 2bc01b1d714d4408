// SPDX-License-Identifier: Apache-2.0
// Flags of `tern serve` about rules and alerts.

import ArgumentParser
import Scrape
import Server

struct RuleFlags: ParsableArguments {
    @Option(
        name: .customLong("web.external-url"),
        help: "URL under which others reach this server, for links in alerts.")
    var externalURL: String?
    @Option(
        name: .customLong("rules.alert.for-outage-tolerance"),
        help: "Longest outage after which the for state of alerts is restored (1h).")
    var outageTolerance: String?
    @Option(
        name: .customLong("rules.alert.for-grace-period"),
        help: "Least time between restoring an alert and firing it (10m).")
    var gracePeriod: String?
    @Option(
        name: .customLong("rules.alert.resend-delay"),
        help: "Least time before an alert is sent again (1m).")
    var resendDelay: String?
    @Option(
        name: .customLong("rules.max-concurrent-evals"),
        help: "Rules evaluated at once beyond one per group (4).")
    var concurrentEvaluations: String?
    @Option(
        name: .customLong("rules.watch"),
        help: "Evaluate the built-in rules of the group tern_watch: true or false (true).")
    var watches: String?
    @Option(
        name: .customLong("alertmanager.notification-queue-capacity"),
        help: "Alerts that may wait for one Alertmanager (10000).")
    var queueCapacity: String?
    @Option(
        name: .customLong("alertmanager.drain-notification-queue-on-shutdown"),
        help: "Send what waits before the end: true or false (true).")
    var drainsQueue: String?

    func options() throws -> RuleOptions {
        var options = RuleOptions()
        options.externalURL = flagValue(externalURL, "web.external-url")
        if let url = options.externalURL,
            !url.hasPrefix("http://") && !url.hasPrefix("https://")
        {
            throw ValidationError("--web.external-url takes a URL with its scheme, not \(url)")
        }
        func seconds(_ given: String?, _ flag: String, _ standard: Double) throws -> Double {
            guard let text = flagValue(given, flag) else { return standard }
            guard let value = parseDurationSeconds(text), value >= 0 else {
                throw ValidationError("--\(flag) takes a duration such as 30s or 1h, not \(text)")
            }
            return value
        }
        func count(_ given: String?, _ flag: String, _ standard: Int) throws -> Int {
            guard let text = flagValue(given, flag) else { return standard }
            guard let value = Int(text), value > 0 else {
                throw ValidationError("--\(flag) takes a whole number above 0, not \(text)")
            }
            return value
        }
        options.outageToleranceSeconds = try seconds(
            outageTolerance, "rules.alert.for-outage-tolerance", options.outageToleranceSeconds)
        options.gracePeriodSeconds = try seconds(
            gracePeriod, "rules.alert.for-grace-period", options.gracePeriodSeconds)
        options.resendDelaySeconds = try seconds(
            resendDelay, "rules.alert.resend-delay", options.resendDelaySeconds)
        options.concurrentEvaluations = try count(
            concurrentEvaluations, "rules.max-concurrent-evals", options.concurrentEvaluations)
        options.queueCapacity = try count(
            queueCapacity, "alertmanager.notification-queue-capacity", options.queueCapacity)
        func truth(_ given: String?, _ flag: String, _ standard: Bool) throws -> Bool {
            guard let text = flagValue(given, flag) else { return standard }
            guard let value = Bool(text) else {
                throw ValidationError("--\(flag) takes true or false, not \(text)")
            }
            return value
        }
        options.watches = try truth(watches, "rules.watch", options.watches)
        options.drainsQueueOnShutdown = try truth(
            drainsQueue, "alertmanager.drain-notification-queue-on-shutdown",
            options.drainsQueueOnShutdown)
        return options
    }
}
