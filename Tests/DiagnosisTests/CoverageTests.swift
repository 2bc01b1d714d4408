// SPDX-License-Identifier: Apache-2.0
// How much can be correlated, and which names may be one.

import Telemetry
import Testing

@testable import Diagnosis

@Suite struct CoverageTests {
    @Test func sharesOfAScenario() throws {
        var scenario = Scenario.build {
            $0.stockAttributes = [("code.function.name", .string("f"))]
        }
        scenario.log("mail", "INFO without a trace", at: Scenario.window.first.rawValue + 5)
        scenario.gauge("pod_cpu_usage_percent") { _, _ in 1 }
        let coverage = try Diagnosis(scenario.sources).coverage(
            tenant: .anonymous, range: Scenario.window, ReadContext())
        #expect(coverage.services.map(\.service) == ["cart", "front", "mail", "stock"])
        let stock = try #require(coverage.services.last)
        #expect(
            stock
                == ServiceCoverage(
                    service: "stock", spans: 30, spansWithCode: 30, lines: 0, linesWithTrace: 0,
                    series: 1))
        #expect(coverage.total.lines == 151)
        #expect(coverage.total.linesWithTrace == 150)
        #expect(coverage.total.spans == 150)
        #expect(coverage.linesWithoutService == 0)
        #expect(coverage.unmatched.map(\.name).contains("mail"))
    }

    @Test func namesThatMayBeOne() throws {
        let services = [
            ServiceCoverage(service: "cart-service", spans: 5),
            ServiceCoverage(service: "shop/cart", lines: 5),
            ServiceCoverage(service: "Check_Out", lines: 3),
            ServiceCoverage(service: "checkout", spans: 3),
            ServiceCoverage(service: "whole", spans: 1, lines: 1),
            ServiceCoverage(service: "lonely", spans: 1),
        ]
        let found = NameProposals(services).unmatched
        func proposal(_ name: String) -> String? { found.first { $0.name == name }?.proposal }
        #expect(proposal("Check_Out") == "checkout")
        #expect(proposal("checkout") == "Check_Out")
        #expect(proposal("cart-service") == "shop/cart")
        #expect(proposal("lonely") == nil)
        #expect(!found.contains { $0.name == "whole" })
        func entry(_ name: String) -> String? { found.first { $0.name == name }?.entry }
        #expect(entry("shop/cart") == #"- {"name":"cart-service","aliases":["shop/cart"]}"#)
        #expect(entry("cart-service") == entry("shop/cart"))
        #expect(entry("Check_Out") == #"- {"name":"checkout","aliases":["Check_Out"]}"#)
        #expect(entry("lonely") == nil)
    }
}
