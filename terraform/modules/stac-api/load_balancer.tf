resource "aws_security_group" "lb" {
  name        = "${local.full_name}-lb"
  description = "The STAC API's load balancer: from anywhere, to its tasks"
  vpc_id      = var.vpc_id

  tags = { Name = "${local.full_name}-lb" }
}

resource "aws_vpc_security_group_ingress_rule" "lb" {
  security_group_id = aws_security_group.lb.id
  description       = local.is_https ? "HTTPS" : "HTTP"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = local.lb_port
  to_port           = local.lb_port
}

resource "aws_vpc_security_group_ingress_rule" "lb_redirect" {
  count = local.is_https ? 1 : 0

  security_group_id = aws_security_group.lb.id
  description       = "HTTP, which is sent on to HTTPS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
}

resource "aws_vpc_security_group_egress_rule" "lb" {
  security_group_id            = aws_security_group.lb.id
  description                  = "The tasks"
  referenced_security_group_id = aws_security_group.tasks.id
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
}

resource "aws_lb" "this" {
  name                       = local.lb_name
  load_balancer_type         = "application"
  subnets                    = var.public_subnet_ids
  security_groups            = [aws_security_group.lb.id]
  drop_invalid_header_fields = true

  lifecycle {
    precondition {
      condition     = length(var.public_subnet_ids) >= 2
      error_message = "The STAC API needs public_subnet_ids in two availability zones at least, for its load balancer (vpc.public_subnet_ids)."
    }
  }
}

resource "aws_lb_target_group" "this" {
  name        = local.lb_name
  vpc_id      = var.vpc_id
  target_type = "ip"
  protocol    = "HTTP"
  port        = local.port
  # A task that stops finishes its open requests.
  deregistration_delay = 30

  # The check does not ask the database: while the database is down, new tasks would not help.
  health_check {
    path                = "/_mgmt/ping"
    interval            = 15
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
  }
}

resource "aws_lb_listener" "this" {
  load_balancer_arn = aws_lb.this.arn
  protocol          = local.is_https ? "HTTPS" : "HTTP"
  port              = local.lb_port
  certificate_arn   = var.certificate_arn
  ssl_policy        = local.is_https ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this.arn
  }
}

resource "aws_lb_listener" "redirect" {
  count = local.is_https ? 1 : 0

  load_balancer_arn = aws_lb.this.arn
  protocol          = "HTTP"
  port              = 80

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}
