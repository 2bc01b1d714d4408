// SPDX-License-Identifier: Apache-2.0
// The rules in force, and where their alerts go.

import Base
import Logging
import Rules
import Synchronization
import Telemetry

/// Evaluates the rules of the configuration and sends their alerts.
///
/// Starts when the data directory is open and the first configuration is applied; each reload
/// changes groups and Alertmanagers together.
final class RuleService: Sendable {
    private struct State: Sendable {
        var queries: QueryService?
        var sink: (any RuleSink)?
        var isEnded = false
    }

    let ruler: Ruler
    let notifier: AlertNotifier
    private let options: RuleOptions
    private let clock: any Clock
    private let logger: Logger
    private let slots: EvaluationSlots
    private let http: OutgoingHTTP
    private let state = Mutex(State())
    /// Seconds that the queues of alerts have at the end.
    private static let drainSeconds = 3.0

    init(_ options: ServerOptions, _ logger: Logger, _ clock: any Clock) {
        self.options = options.rules
        self.clock = clock
        self.logger = logger
        http = OutgoingHTTP(clock: clock)
        ruler = Ruler(parser: options.features.parser)
        notifier = AlertNotifier(capacity: options.rules.queueCapacity, clock: clock) {
            logger.error("\($0)")
        }
        slots = EvaluationSlots(options.rules.concurrentEvaluations)
    }

    /// The data directory is open.
    func open(_ queries: QueryService, _ sink: any RuleSink) {
        state.withLock { state in
            state.queries = queries
            state.sink = sink
        }
    }

    /// Puts a configuration into force.
    ///
    /// - Parameter address: where this server listens.
    func apply(_ configuration: Configuration, _ address: ListenAddress) {
        let (queries, sink) = state.withLock { state in
            state.isEnded ? (nil, nil) : (state.queries, state.sink)
        }
        guard let queries, let sink else { return }
        queries.setSubqueryStep(millis: configuration.evaluationMillis)
        let external = configuration.externalLabels.map { RuleText($0.name, $0.value) }
        notifier.apply(
            configuration.alerting.alertmanagers.map {
                $0.set(AlertClient(http: http, settings: $0.client))
            },
            relabelRules: configuration.alerting.relabelling, externalLabels: external)
        let logger = self.logger
        var environment = RuleEnvironment(
            queries: ServerRuleQueries(service: queries), sink: sink, clock: clock,
            receiver: notifier, slots: slots
        ) { logger.warning("\($0)") }
        environment.surroundings.externalLabels = external
        environment.surroundings.externalURL = externalURL(address)
        environment.resendDelayMillis = Int64(options.resendDelaySeconds * 1000)
        environment.outageToleranceMillis = Int64(options.outageToleranceSeconds * 1000)
        environment.gracePeriodMillis = Int64(options.gracePeriodSeconds * 1000)
        ruler.apply(configuration.ruleGroups, environment)
    }

    /// The URL under which others reach this server, without a slash at its end.
    private func externalURL(_ address: ListenAddress) -> String {
        var url = options.externalURL ?? "http://\(localHostName):\(address.port)"
        while url.hasSuffix("/") { url.removeLast() }
        return url
    }

    /// Ends evaluation and empties the queues of alerts.
    func shutDown() async {
        state.withLock { $0.isEnded = true }
        await ruler.shutDown()
        await notifier.shutDown(seconds: options.drainsQueueOnShutdown ? Self.drainSeconds : 0)
        await http.shutdown()
    }
}
