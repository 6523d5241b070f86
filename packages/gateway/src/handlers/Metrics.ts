/** `GET /metrics`, for Prometheus. */
import { Metrics } from "@breakwater/core"
import * as Effect from "effect/Effect"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import type { Exchange } from "../internal/Exchange.ts"

export const metrics = (exchange: Exchange): Effect.Effect<void> =>
  Effect.flatMap(PrometheusMetrics.format({ metricNameMapper: Metrics.prometheusName }), (text) =>
    exchange.send(200, text, "text/plain; version=0.0.4; charset=utf-8")
  )
