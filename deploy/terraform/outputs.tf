output "role_arn" {
  description = "The role to run Curfew with."
  value       = aws_iam_role.curfew.arn
}

output "role_name" {
  description = "Its name, to attach it to what Curfew runs on."
  value       = aws_iam_role.curfew.name
}
