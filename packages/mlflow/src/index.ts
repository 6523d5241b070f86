export * as MLflow from "./MLflow.ts"
export * as MLflowClient from "./MLflowClient.ts"
