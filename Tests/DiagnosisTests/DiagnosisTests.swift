// SPDX-License-Identifier: Apache-2.0
// Each signal finds its fault, and nothing is found where nothing is.

import Correlation
import Telemetry
import TestKit
import Testing

@testable import Diagnosis

@Suite struct DiagnosisTests {
    @Test func nothingDiffers() throws {
        var scenario = Scenario.build { _ in }
        scenario.gauge("pod_cpu_usage_percent") { _, _ in 10 }
        let answer = try scenario.diagnose()
        #expect(answer.suspects.isEmpty, "\(answer.suspects.map(\.summary))")
        #expect(answer.spanCounts == [150, 0, 150])
        #expect(answer.lineCounts == [150, 0, 150])
        #expect(answer.linesWithTrace == [150, 0, 150])
    }

    @Test func aSlowOperation() throws {
        let answer = try Scenario.build { $0.stockOwn = 300 }.diagnose()
        let first = try #require(answer.suspects.first)
        #expect(first.service == "stock")
        #expect(first.operation == "GET /stock")
        #expect(first.resource == nil)
        #expect(first.score > Suspect.incidentThreshold)
        #expect(answer.suspects.dropFirst().allSatisfy { $0.score < first.score })
        let evidence = try #require(first.evidence.first)
        #expect(evidence.language == .traceql)
        #expect((evidence.baseline, evidence.window) == (0, 30))
        #expect(first.traceIDs.count == 5)
    }

    @Test func aDelayOnTheWay() throws {
        let first = try #require(Scenario.build { $0.gap = 800 }.diagnose().suspects.first)
        #expect(first.service == "cart")
        #expect(first.resource == .network)
        #expect(first.summary.contains("front"))
    }

    /// When all calls of a service are slow on the way, the service is slow.
    @Test func aCallerThatIsSlowWithAllItsCalls() throws {
        func shop(_ gap: Int64) -> Scenario {
            var scenario = Scenario.build { $0.stockGap = gap }
            // A second service that cart calls as slowly.
            for (range, gap) in [(Scenario.baseline, Int64(1)), (Scenario.window, gap)] {
                for i in 0..<20 {
                    let start = range.first.rawValue + Int64(i) * 2 * Scenario.second
                    var cart = InMemorySpans.Span(trace: UInt64(900_000 + i) * UInt64(gap), id: 1)
                    cart.service = "cart"
                    cart.name = "POST /pay"
                    cart.kind = 2
                    cart.start = start
                    var call = cart
                    call.id = 2
                    call.parent = 1
                    call.name = "POST pay"
                    call.kind = 3
                    var pay = call
                    pay.id = 3
                    pay.parent = 2
                    pay.service = "pay"
                    pay.name = "POST /pay"
                    pay.kind = 2
                    pay.start = start + gap * 1_000_000
                    pay.duration = 2_000_000
                    call.duration = pay.start + pay.duration - start
                    cart.duration = call.duration + 1_000_000
                    for span in [cart, call, pay] { scenario.spans.add(span) }
                }
            }
            return scenario
        }
        let first = try #require(shop(700).diagnose().suspects.first)
        #expect(first.service == "cart")
    }

    @Test func aPathThatEndsEarly() throws {
        let answer = try Scenario.build {
            $0.cartLines.removeLast()
            $0.frontLines = ["INFO shop.Front#5 begin", "ERROR shop.Front#7 no cart"]
        }.diagnose()
        let first = try #require(answer.suspects.first)
        #expect(first.service == "cart")
        #expect(first.operation == "POST /cart")
        let range = try #require(first.codeRange)
        #expect(range.0.raw == "shop.Cart#20")
        #expect(range.1.raw == "shop.Cart#30")
        #expect(first.code?.line == 20)
        #expect(first.score > Suspect.incidentThreshold)
        // What the caller does about it is no fault of its own.
        let caller = try #require(answer.suspects.first { $0.service == "front" })
        #expect(caller.score < Suspect.incidentThreshold)
    }

    @Test func aPathThatLeadsToAnError() throws {
        let first = try #require(
            Scenario.build { $0.cartLines[2] = "ERROR shop.Cart#25 no stock" }.diagnose()
                .suspects.first)
        #expect(first.service == "cart")
        #expect(first.code?.raw == "shop.Cart#25")
        #expect(first.codeRange?.1.raw == "shop.Cart#30")
    }

    @Test func aSpanThatWritesNothingAnyMore() throws {
        let first = try #require(
            Scenario.build { $0.cartLines = [] }.diagnose().suspects.first)
        #expect(first.service == "cart")
        #expect(first.codeRange?.0.raw == "POST /cart start")
        #expect(first.codeRange?.1.raw == "shop.Cart#10")
    }

    /// A service that no longer writes errors is not what is wrong.
    @Test func recoveryIsNoFault() throws {
        var scenario = Scenario()
        scenario.fill(Scenario.baseline) { $0.cartLines[2] = "ERROR shop.Cart#25 no stock" }
        scenario.fill(Scenario.window) { _ in }
        let score = try scenario.diagnose().suspects.first?.score ?? 0
        #expect(score < Suspect.incidentThreshold)
    }

    @Test(arguments: [
        (
            "java.lang.E: x\n\tat shop.Stock.load(Stock.java:42)\n\tat java.util.X.y(X.java:1)",
            "Stock.java", 42
        ),
        (
            "Traceback (most recent call last):\n  File \"/app/stock.py\", line 7, in load\nE: x",
            "/app/stock.py", 7
        ),
        ("goroutine 1 [running]:\nmain.load(0x1)\n\t/app/stock.go:12 +0x1d", "/app/stock.go", 12),
        ("Error: x\n    at load (/app/stock.js:9:13)", "/app/stock.js", 9),
        ("E: x\n   at Shop.Stock.Load() in /src/Stock.cs:line 33", "/src/Stock.cs", 33),
        ("stock.rb:5:in 'load': x (E)", "stock.rb", 5),
        ("#0 /app/stock.php(14): load()\n#1 {main}", "/app/stock.php", 14),
        ("   0: shop::stock::load\n             at ./src/stock.rs:21:5", "./src/stock.rs", 21),
    ])
    func exceptionsNameTheirPlace(_ trace: String, _ file: String, _ line: Int) throws {
        let first = try #require(
            Scenario.build {
                $0.stockFails = true
                $0.stockAttributes = [("exception.stacktrace", .string(trace))]
            }.diagnose().suspects.first)
        #expect(first.service == "stock")
        #expect(first.code?.file == file)
        #expect(first.code?.line == line)
    }

    @Test func spansNameTheirCode() throws {
        let first = try #require(
            Scenario.build {
                $0.stockOwn = 300
                $0.stockAttributes = [
                    ("code.file.path", .string("stock.swift")), ("code.line.number", .int(8)),
                ]
            }.diagnose().suspects.first)
        #expect(first.code?.file == "stock.swift")
        #expect(first.code?.line == 8)
    }

    @Test func callsThatAreNoLongerMade() throws {
        let first = try #require(
            Scenario.build { $0.callsStock = false }.diagnose().suspects.first)
        #expect(first.service == "cart")
    }

    /// Without spans there are still lines.
    @Test func errorLinesOfAServiceWithoutSpans() throws {
        var scenario = Scenario.build { _ in }
        for (range, text) in [
            (Scenario.baseline, "INFO mail.Sender#3 sent"),
            (Scenario.window, "ERROR mail.Sender#8 refused"),
        ] {
            for i in 0..<40 {
                scenario.log(
                    "mail", text, at: range.first.rawValue + Int64(i + 1) * Scenario.second)
            }
        }
        let first = try #require(scenario.diagnose().suspects.first)
        #expect(first.service == "mail")
        #expect(first.code?.raw == "mail.Sender#8")
        let evidence = try #require(first.evidence.first)
        #expect(evidence.language == .logql)
        // The range vector leaves out what lies at its very start.
        #expect(evidence.window == 40)
        #expect(evidence.baseline == 0)
        #expect(
            evidence.query
                == #"sum(count_over_time({service_name="mail"} |= "mail.Sender#8 " [1m]))"#)
    }

    @Test(arguments: [
        ("pod_cpu_usage_percent", 8.0, 96.0, Resource.cpu),
        ("process_memory_utilization", 0.3, 0.97, .memory),
        ("container_fs_usage_ratio", 0.4, 0.99, .disk),
        ("pod_cpu_usage_millicores", 20, 900, .cpu),
    ])
    func aResourceThatRunsOut(
        _ name: String, _ usual: Double, _ now: Double, _ resource: Resource
    ) throws {
        var scenario = Scenario.build { _ in }
        scenario.gauge(name) { $0 == "stock" && $1 ? now : usual }
        let first = try #require(scenario.diagnose().suspects.first)
        #expect(first.service == "stock")
        #expect(first.resource == resource)
        let evidence = try #require(first.evidence.first)
        #expect(evidence.language == .promql)
        #expect(try #require(evidence.window) > now * 0.9)
        #expect(try #require(evidence.baseline) < usual * 1.2)
    }

    /// A noisy series, and one that all services show, is no reason.
    @Test func noiseOfMetricsIsNoReason() throws {
        var scenario = Scenario.build { _ in }
        scenario.gauge("pod_cpu_usage_percent") { _, isWindow in isWindow ? 14 : 12 }
        let score = try scenario.diagnose().suspects.first?.score ?? 0
        #expect(score < Suspect.incidentThreshold)
    }

    // MARK: - Scope, limits

    @Test func onlyWhatIsAskedFor() throws {
        let scenario = Scenario.build { $0.cartLines.removeLast() }
        var request = scenario.request
        request.service = "front"
        #expect(try scenario.diagnose(request).suspects.first?.service == "cart")
        request.service = "Stock"
        #expect(try scenario.diagnose(request).suspects.allSatisfy { $0.service == "stock" })
        request.service = "nobody"
        #expect(throws: UnknownScope.self) { try scenario.diagnose(request) }
        request.service = nil
        request.traces = [TraceID(high: 7, low: 7)]
        #expect(throws: UnknownScope.self) { try scenario.diagnose(request) }
        request.traces = []
        request.series = [[LabelMatcher(equal: "__name__", "nothing")]]
        #expect(throws: UnknownScope.self) { try scenario.diagnose(request) }
    }

    @Test func ofManySpansTracesAreSampled() throws {
        let scenario = Scenario.build { $0.cartLines.removeLast() }
        var limits = ReadLimits()
        limits.spans = 160
        let answer = try scenario.diagnose(limits: limits)
        #expect(answer.traceShare < 1)
        #expect(answer.notes.contains { $0.contains("traces was looked at") })
        #expect(answer.suspects.first?.service == "cart")
        // Evidence counts all the same.
        let lines = try #require(answer.suspects.first?.evidence.first { $0.language == .logql })
        #expect(lines.baseline == 30)
    }

    @Test func limitsAreSaid() throws {
        let scenario = Scenario.build { _ in }
        var limits = ReadLimits()
        limits.lines = 20
        let answer = try scenario.diagnose(limits: limits)
        #expect(answer.notes.contains { $0.contains("log lines") })
    }

    @Test func cancelled() {
        let scenario = Scenario.build { _ in }
        let context = ReadContext()
        context.cancel()
        #expect(throws: QueryInterruption.cancelled) {
            try Diagnosis(scenario.sources).diagnose(scenario.request, context)
        }
    }

    @Test func nothingThere() throws {
        let answer = try Scenario().diagnose()
        #expect(answer.suspects.isEmpty)
        #expect(answer.notes.contains("no spans in the window"))
        #expect(answer.notes.contains("no log lines in the window"))
    }

    @Test func whatWasSoBeforeCountsLess() throws {
        var sudden = Scenario.build { $0.cartLines.removeLast() }
        var lasting = sudden
        let before = NanosRange(
            first: Nanos(Scenario.window.first.rawValue - 59 * Scenario.second),
            last: Nanos(Scenario.window.first.rawValue - 1))
        sudden.fill(before) { _ in }
        lasting.fill(before) { $0.cartLines.removeLast() }
        let new = try #require(sudden.diagnose().suspects.first)
        let old = try #require(lasting.diagnose().suspects.first)
        #expect(new.service == "cart")
        #expect(old.service == "cart")
        // It is no less an incident.
        #expect(old.score >= new.score)
    }

    /// What also failed in the baseline, in another service, is no incident because it moved.
    @Test func aFailureThatOnlyMoved() throws {
        func score(_ message: String) throws -> Double {
            var scenario = Scenario()
            var number = 0
            scenario.fill(Scenario.baseline) {
                number += 1
                if number % 2 == 0 {
                    $0.frontLines[1] = "ERROR shop.Client#9 no instance of [cart]"
                }
            }
            scenario.fill(Scenario.window) {
                number += 1
                if number % 2 == 0 { $0.cartLines[2] = message }
            }
            let first = try #require(scenario.diagnose().suspects.first)
            #expect(first.service == "cart")
            return first.score
        }
        let moved = try score("ERROR shop.Client#9 no instance of [stock]")
        #expect(moved < Suspect.incidentThreshold)
        #expect(try score("ERROR shop.Client#9 no space left") > moved + 0.1)
    }

    /// A few requests that all fail may be chance among thousands of shares.
    @Test func fewRequestsAreNoIncident() throws {
        func score(_ requests: Int) throws -> Double {
            var scenario = Scenario()
            scenario.fill(Scenario.baseline, requests: requests) { _ in }
            scenario.fill(Scenario.window, requests: requests) { $0.cartLines.removeLast() }
            let first = try #require(scenario.diagnose().suspects.first)
            #expect(first.service == "cart")
            return first.score
        }
        #expect(try score(5) < Suspect.incidentThreshold)
        #expect(try score(20) > Suspect.incidentThreshold)
    }

    @Test func scoresDoNotAscend() throws {
        let answer = try Scenario.build {
            $0.cartLines.removeLast()
            $0.stockOwn = 300
        }.diagnose()
        let scores = answer.suspects.map(\.score)
        #expect(scores.count > 1)
        #expect(scores == scores.sorted(by: >))
    }

    // MARK: - Ranges

    @Test func precedingStretches() {
        let range = NanosRange(first: Nanos(100), last: Nanos(199))
        #expect(range.preceding == NanosRange(first: Nanos(0), last: Nanos(99)))
        let all = NanosRange.all
        #expect(all.preceding.first == .min)
        #expect(
            DiagnosisRequest(tenant: .anonymous, window: range).baseline == range.preceding)
        #expect(
            NanosRange(first: Nanos(1_000_001), last: Nanos(2_999_999)).millis
                == MillisRange(first: Millis(2), last: Millis(2)))
    }
}
